"""Targets, sound tracks and scores of nano's training, on data made here."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from stream_avs.models.consensus.table import read_table
from stream_avs.training.nano.assets import COCO_TO_VOC, IGNORE, SOUND_CLASSES, TALKERS
from stream_avs.training.nano.exam import Stream, score_streams
from stream_avs.training.nano.objective import channels
from stream_avs.training.nano.sounds import Event, mark_event
from stream_avs.training.nano.targets import loose_target

IDS = read_table().ids.tolist()


@given(st.lists(st.sampled_from([0, 3, 7, 12, 15, 255]), min_size=4, max_size=4), st.integers(0, 2**30))
def test_only_what_is_heard_sounds(pixels: list[int], seed: int) -> None:
    heard = np.random.default_rng(seed).integers(-1, 2, (1, 21)).astype(np.int8)
    target = loose_target(np.array(pixels, np.uint8).reshape(1, 2, 2), heard).ravel()
    for seen, wanted in zip(pixels, target, strict=True):
        if seen == 0:
            assert wanted == 0
        elif seen == IGNORE or heard[0, seen] == -1:
            assert wanted == IGNORE
        else:
            assert wanted == (seen if heard[0, seen] == 1 else 0)


def test_an_event_is_unknown_at_its_ends_only() -> None:
    heard = np.zeros((5, 21), np.int8)
    event = Event(folder="001_dog_bark", start_s=2.0, end_s=3.0, gain=1.0)
    mark_event(heard, event, np.array([1.5, 2.05, 2.5, 3.05, 3.5]))
    assert heard[:, 12].tolist() == [0, -1, 1, -1, 0]
    assert not heard[:, 15].any()


def test_a_sound_that_several_make_leaves_those_unknown() -> None:
    heard = np.zeros((1, 21), np.int8)
    mark_event(heard, Event(folder="42_siren", start_s=0, end_s=9, gain=1.0), np.array([4.0]))
    assert sorted(np.flatnonzero(heard[0] == -1)) == [6, 7]


def test_tables_name_classes_that_exist_and_talkers_are_in_one_split() -> None:
    voc = set(COCO_TO_VOC.values()) - {IGNORE}
    assert all((a | b) <= voc and not a & b for a, b in SOUND_CLASSES.values())
    names = [name for talkers in TALKERS.values() for name in talkers]
    assert len(names) == len(set(names))


def test_channels_follow_the_label_table() -> None:
    target = torch.tensor([[[0, 15, IGNORE, 9]]])
    assert channels(target, torch.tensor(IDS)).tolist() == [[[0, 1 + IDS.index(15), IGNORE, 0]]]


def stream() -> Stream:
    target = np.zeros((6, 160, 160), np.uint8)
    target[3:, 20:80, 20:80] = 15
    switched = np.array([False, False, False, True, False, False])
    return Stream(
        images=[], contexts=np.zeros((6, 8), np.float32), target=target, kinds=["on"] * 6, switched=switched
    )


def test_right_masks_score_full_and_late_ones_their_delay() -> None:
    s = stream()
    right = score_streams([s], [s.target])
    assert (right["j"], right["area"], right["delay_median"], right["flicker"]) == (1, 0, 0, 0)
    late = np.roll(s.target, 1, axis=0)
    late[0] = 0
    scores = score_streams([s], [late])
    assert scores["delay_median"] == 1
    assert np.isclose(scores["j"], 2 / 3)
    assert (scores["frames_sounding"], scores["frames_quiet"], scores["delays"]) == (3, 3, 1)


def test_a_mask_of_another_class_is_wrong() -> None:
    s = stream()
    assert score_streams([s], [np.where(s.target == 15, 12, 0).astype(np.uint8)])["j"] == 0
