"""Switch delay, flicker and false alarms against small streams worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stream_avs.evaluation.stream_metrics import false_alarms, flicker, switch_delay

LEFT = np.array([[1, 1, 0, 0]] * 2)
RIGHT = np.array([[0, 0, 2, 2]] * 2)
NONE = np.zeros((2, 4), int)


def test_delay_counts_frames_until_the_mask_is_right() -> None:
    truth = np.stack([LEFT, LEFT, RIGHT, RIGHT, RIGHT, RIGHT])
    predicted = np.stack([LEFT, LEFT, LEFT, LEFT, RIGHT, RIGHT])
    scores = switch_delay(predicted, truth, [False, False, True, False, False, False])
    assert scores.delays == (2,)
    assert (scores.mean_frames, scores.missed) == (2.0, 0)


def test_a_mask_that_leaks_the_old_source_is_not_right() -> None:
    truth = np.stack([LEFT, RIGHT, RIGHT])
    both = np.maximum(LEFT, RIGHT)  # IoU 4/8 = 0.5 passes at 0.5, not at 0.6
    predicted = np.stack([LEFT, both, RIGHT])
    assert switch_delay(predicted, truth, [False, True, False]).delays == (0,)
    assert switch_delay(predicted, truth, [False, True, False], iou=0.6).delays == (1,)


def test_a_mask_of_the_wrong_class_is_not_right() -> None:
    truth = np.stack([LEFT, RIGHT])
    predicted = np.stack([LEFT, np.minimum(RIGHT, 1)])
    assert switch_delay(predicted, truth, [False, True]).delays == (None,)
    assert switch_delay(np.minimum(predicted, 1), np.minimum(truth, 1), [False, True]).delays == (0,)


def test_a_stream_whose_sound_never_changes() -> None:
    scores = switch_delay(np.zeros((3, 2, 2), int), np.ones((3, 2, 2), int), [False, False, False])
    assert scores.delays == ()
    assert scores.missed == 0
    assert np.isnan(scores.mean_frames)


def test_silence_is_followed_when_the_mask_is_gone() -> None:
    truth = np.stack([LEFT, NONE, NONE, NONE])
    predicted = np.stack([LEFT, LEFT, NONE, NONE])
    assert switch_delay(predicted, truth, [False, True, False, False]).delays == (1,)


def test_a_change_not_followed_before_the_next_is_missed() -> None:
    truth = np.stack([LEFT, RIGHT, LEFT, LEFT])
    predicted = np.stack([LEFT, LEFT, LEFT, LEFT])
    scores = switch_delay(predicted, truth, [False, True, True, False])
    assert scores.delays == (None, 0)
    assert scores.missed == 1
    assert scores.mean_frames == 0.0
    assert math.isnan(switch_delay(predicted[:2], truth[:2], [False, True]).mean_frames)


def moving(offset: int) -> np.ndarray:
    """An object of 2 x 2 pixels that moves right by a pixel per frame, seen `offset` pixels off."""
    masks = np.zeros((4, 4, 12), int)
    for t in range(4):
        masks[t, 1:3, 2 + t + offset : 4 + t + offset] = 1
    return masks


@pytest.mark.parametrize("offset", [0, 1, 4])
def test_a_mask_that_moves_with_the_object_does_not_flicker(offset: int) -> None:
    assert flicker(moving(offset), moving(0)) == 0.0


def test_a_mask_that_comes_and_goes_flickers() -> None:
    still = np.stack([LEFT, LEFT, LEFT, LEFT])
    blinking = np.stack([LEFT, NONE, LEFT, NONE])
    # Each pair: 4 pixels change, none moves, the largest area is 4: 4/4.
    assert flicker(blinking, still) == pytest.approx(1.0)
    # In the moving scene 4 pixels change by motion alone, so 8 changes of 4 explained leave (8-4)/8.
    jumping = np.stack([moving(0)[0], np.roll(moving(0)[0], 6, axis=1)])
    assert flicker(jumping, moving(0)[:2]) == pytest.approx((8 - 4) / 8)


def test_one_pixel_of_four_is_a_quarter() -> None:
    nibbled = LEFT.copy()
    nibbled[0, 0] = 0
    assert flicker(np.stack([LEFT, nibbled])) == pytest.approx(1 / 4)


def test_changes_of_the_sound_are_no_flicker() -> None:
    masks = np.stack([LEFT, LEFT, RIGHT, RIGHT])
    assert flicker(masks, switched=[False, False, True, False]) == 0.0
    assert flicker(masks) > 0
    assert math.isnan(flicker(masks[:1]))


def test_false_alarms_look_at_silent_frames_alone() -> None:
    truth = np.stack([LEFT, NONE, NONE])
    predicted = np.stack([NONE, LEFT, NONE])
    found = false_alarms(predicted, truth)
    # Frame 2 has 4 of 8 pixels masked, frame 3 none.
    assert (found.area, found.rate, found.frames) == (0.25, 0.5, 2)
    assert false_alarms(predicted, truth, [True, False, True]).area == 0.0
    assert math.isnan(false_alarms(predicted, truth, [True, False, False]).area)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"predicted \[2, 4\] and truth \[2, 2, 4\]"):
        flicker(LEFT, np.stack([LEFT, LEFT]))
