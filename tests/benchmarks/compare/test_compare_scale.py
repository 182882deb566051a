"""Every entry is trained alike, and differs in what it says."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from stream_avs.benchmarks.compare.entries import ENTRIES, REFERENCE, Entry, Group, entry
from stream_avs.benchmarks.compare.scale import Scale, train_config
from stream_avs.benchmarks.compare.scoring import score_network, switched
from stream_avs.datasets.scenes import ProceduralSource, SceneStream
from stream_avs.errors import ConfigError
from stream_avs.models.network import FrameFeatures, NetworkOutput, StatelessNetwork, loudest
from stream_avs.models.tpavi.config import PRESETS

torch.set_num_threads(1)
SCALE = Scale()
SMALL = Scale(input_px=32, frames=2, test_clips=4, quiet_clips=3, streams=1, stream_s=12)


@pytest.mark.parametrize("chosen", ENTRIES.values(), ids=ENTRIES)
def test_trained_as_all_others(chosen: Entry) -> None:
    mine, theirs = (asdict(train_config(SCALE, one, 1, Path("x"))) for one in (chosen, ENTRIES[REFERENCE]))
    own = {"model", "loss", "architecture"}
    assert {k: v for k, v in mine.items() if k not in own} == {
        k: v for k, v in theirs.items() if k not in own
    }
    common = ("image_encoder", "audio_encoder", "input_px", "frames", "classes")
    assert [mine["model"][key] for key in common] == [theirs["model"][key] for key in common]
    if chosen.name != REFERENCE:
        assert {k: mine[k] for k in own} != {k: theirs[k] for k in own}
    if chosen.group is Group.COMPONENT:
        assert mine["architecture"] == REFERENCE
        assert "paper-loss" in chosen.name or mine["model"] != theirs["model"]


def test_seeds_differ_in_scenes_and_weights() -> None:
    one, other = (train_config(SCALE, ENTRIES[REFERENCE], seed, Path("x")) for seed in (0, 1))
    assert one.seed != other.seed
    assert one.data.scenes.seed != other.data.scenes.seed


def test_an_unknown_entry_is_named() -> None:
    with pytest.raises(ConfigError, match="ccformr"):
        entry("ccformr")


class Constant(StatelessNetwork):
    """Says the same of every pixel."""

    def __init__(self, logit: float) -> None:
        super().__init__(replace(PRESETS["tiny"], input_px=32, frames=2))
        self.logit = logit

    def encode_frames(self, frames: Tensor, audio: Tensor) -> FrameFeatures:
        return FrameFeatures(own=[torch.full_like(frames[:, :, :1], self.logit)], shared=[])

    def segment(self, own: list[Tensor], shared: list[Tensor], *, every_layer: bool = True) -> NetworkOutput:
        mask = own[0]
        return NetworkOutput(masks=[mask], sounding=loudest(mask.flatten(0, 1)).unflatten(0, mask.shape[:2]))


def test_who_masks_everything_and_who_masks_nothing() -> None:
    always, counts = score_network(Constant(5.0), SMALL)
    never, _ = score_network(Constant(-5.0), SMALL)
    assert counts == {"frames": 8, "silent_frames": 6, "off_screen_frames": 6, "switches": counts["switches"]}
    assert counts["switches"] >= 2
    for kind in ("silence", "off_screen"):
        assert (always[f"{kind}_alarms"], always[f"{kind}_area"]) == (1, 1)
        assert (never[f"{kind}_alarms"], never[f"{kind}_area"]) == (0, 0)
    assert 0 < always["j"] < 0.5
    assert never["j"] == 0
    assert always["switch_missed"] == 1  # half the picture is too much for any source


def test_switches_are_those_of_the_stream() -> None:
    scenes = SMALL.scenes()
    stream = SceneStream(ProceduralSource(3, 2), scenes.scene, duration_s=8, segment_s=(0.5, 1.5), seed=3)
    expected = np.array([frame.switched for frame in stream])
    assert expected.sum() >= 3
    assert np.array_equal(switched(stream), expected)
