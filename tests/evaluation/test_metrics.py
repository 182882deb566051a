"""J and F against values worked by hand; the arithmetic stands beside each."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stream_avs.evaluation.metrics import (
    THRESHOLDS,
    BinaryMetrics,
    BinaryScores,
    f_measure,
    f_thresholds,
    frame_f_curves,
    frame_j,
)


def image(values: list[list[float]]) -> np.ndarray:
    return np.array(values, np.float32)


def same(one: BinaryScores, other: BinaryScores) -> bool:
    """Equal in every field, "not a number" included."""
    return dataclasses.astuple(one) == pytest.approx(dataclasses.astuple(other), nan_ok=True, abs=1e-12)


# Four pixels sound. The prediction masks three of them and one more.
MASK = image([[1, 1, 0, 0], [1, 1, 0, 0]])
HALF = image([[0.9, 0.9, 0.9, 0.1], [0.9, 0.1, 0.1, 0.1]])
EMPTY = np.zeros((2, 4), np.float32)


def test_j_is_intersection_over_union() -> None:
    # I = 3, U = 4 + 4 - 3 = 5: 3 / 5 = 0.6, up to the 1e-7 in the denominator.
    assert frame_j(HALF[None], MASK[None])[0] == pytest.approx(3 / 5, abs=2e-7)


def test_half_is_not_above_the_threshold() -> None:
    # "> 0.5" is strict: a probability of exactly 0.5 masks nothing, I = 0.
    assert frame_j(0.5 * MASK[None], MASK[None])[0] == 0.0


@pytest.mark.parametrize("false_pixels", [0, 1, 3, 8])
def test_j_of_a_silent_frame_is_what_was_rightly_left_out(false_pixels: int) -> None:
    prediction = EMPTY.copy()
    prediction.ravel()[:false_pixels] = 1
    # 1 - p / (H W) with H W = 8, not 0: small false alarms are hardly punished.
    assert frame_j(prediction[None], EMPTY[None])[0] == pytest.approx(1 - false_pixels / 8, abs=2e-7)


def test_thresholds_are_the_published_ones() -> None:
    published = torch.linspace(0, 1 - 1e-10, THRESHOLDS).numpy()
    np.testing.assert_array_max_ulp(f_thresholds(), published, maxulp=1)
    assert f_thresholds()[0] == 0.0
    assert f_thresholds()[-1] == 1.0


def test_f_by_hand() -> None:
    curves, sounding = frame_f_curves(HALF[None], MASK[None])
    assert sounding.tolist() == [True]
    # Threshold 0: all 8 pixels, P = 4/8, R = 4/4: 1.3·0.5·1 / (0.3·0.5 + 1) = 0.65 / 1.15.
    assert curves[0, 0] == pytest.approx(0.65 / 1.15)
    # Threshold 127/254 = 0.5: 4 pixels, 3 right, P = R = 3/4: 1.3·0.5625 / (1.3·0.75) = 0.75.
    assert curves[0, 127] == pytest.approx(0.75)
    # Threshold 1: nothing is masked, 0.
    assert curves[0, -1] == 0.0


def test_beta_squared_weighs_precision_more() -> None:
    # P = 1, R = 1/4: 1.3·0.25 / (0.3 + 0.25) = 0.325 / 0.55 = 0.5909...
    assert f_measure(1, 1, 4) == pytest.approx(0.325 / 0.55)
    # P = 1/4, R = 1: 0.325 / (0.075 + 1) = 0.3023...
    assert f_measure(1, 4, 1) == pytest.approx(0.325 / 1.075)
    assert f_measure(0, 0, 4) == 0.0


def test_silent_frames_have_no_f() -> None:
    curves, sounding = frame_f_curves(np.stack([HALF, HALF]), np.stack([EMPTY, MASK]))
    assert sounding.tolist() == [False, True]
    assert not curves[0].any()


# Two clips of one frame. Clip A is best at a threshold in (0.2, 0.4], clip B in (0.6, 0.8].
#   A: its one sounding pixel of two has 0.4, the other 0.2;  B: sounding 0.8, the other 0.6.
CLIP_A, CLIP_B = image([[0.4, 0.2]]), image([[0.8, 0.6]])
ONE_OF_TWO = image([[1, 0]])
PAIR = np.stack([CLIP_A, CLIP_B])[:, None], np.stack([ONE_OF_TWO, ONE_OF_TWO])[:, None]


def test_f_of_a_batch_takes_one_threshold_and_f_per_clip_its_own() -> None:
    per_clip, per_batch = BinaryMetrics(), BinaryMetrics(tpavi_compatible=True)
    per_clip.update(*PAIR)
    per_batch.update(*PAIR)
    # Per clip, each at its own best threshold, P = R = 1: F = 1 and 1, mean 1.
    assert per_clip.compute().f == pytest.approx(1.0)
    # One threshold for both. In (0.2, 0.4]: A has F 1, B has both pixels: P = 1/2, R = 1, F = 0.65/1.15.
    # In (0.6, 0.8]: A has none, F 0, B has 1. The best mean is the first: (1 + 0.65/1.15) / 2.
    assert per_batch.compute().f == pytest.approx((1 + 0.65 / 1.15) / 2)
    assert per_clip.compute().f_one_threshold == pytest.approx((1 + 0.65 / 1.15) / 2)


def test_compatible_at_batch_one_equals_the_default_in_any_batch() -> None:
    default, one_by_one = BinaryMetrics(), BinaryMetrics(tpavi_compatible=True)
    default.update(*PAIR)
    for clip in range(2):
        one_by_one.update(PAIR[0][clip : clip + 1], PAIR[1][clip : clip + 1])
    assert same(default.compute(), one_by_one.compute())


def test_compatible_mode_counts_a_small_last_batch_as_a_whole_one() -> None:
    # J of the frames: 1, 1 and 0. As batches (2, 1) the published mean is ((1 + 1)/2 + 0) / 2 = 0.5,
    # over clips it is 2/3.
    good, bad = ONE_OF_TWO[None], np.zeros((1, 1, 2), np.float32)
    mask = ONE_OF_TWO[None]
    compatible, default = BinaryMetrics(tpavi_compatible=True), BinaryMetrics()
    for metrics in (compatible, default):
        metrics.update(np.stack([good, good]), np.stack([mask, mask]))
        metrics.update(bad[None], mask[None])
    assert compatible.compute().j == pytest.approx(0.5, abs=1e-6)
    assert default.compute().j == pytest.approx(2 / 3, abs=1e-6)
    assert (compatible.compute().batches, default.compute().batches) == (2, 3)


def test_a_batch_without_any_sound_counts_as_zero_in_f() -> None:
    metrics = BinaryMetrics()
    metrics.update(
        np.stack([ONE_OF_TWO[None], ONE_OF_TWO[None]]), np.stack([ONE_OF_TWO[None], 0 * ONE_OF_TWO[None]])
    )
    scores = metrics.compute()
    assert scores.f == pytest.approx(0.5)  # (1 + 0) / 2, as published
    assert scores.f_sounding == pytest.approx(1.0)
    # J: 1 for the first; the silent clip has 1 of 2 pixels wrong: 1 - 1/2.
    assert scores.j == pytest.approx(0.75, abs=1e-6)
    assert (scores.silent_alarm_rate, scores.silent_alarm_area) == (1.0, 0.5)
    assert (scores.clips, scores.frames, scores.silent_frames) == (2, 2, 1)


def test_dataset_level_sums_pixels_before_dividing() -> None:
    # Frame 1: I 3, U 5 (see above). Frame 2: perfect on 4 pixels, I 4, U 4. Frame 3: silent, 2 false.
    silent = EMPTY.copy()
    silent[0, :2] = 1
    metrics = BinaryMetrics()
    metrics.update(np.stack([HALF, MASK, silent])[:, None], np.stack([MASK, MASK, EMPTY])[:, None])
    scores = metrics.compute()
    # (3 + 4 + 0) / (5 + 4 + 2) = 7/11; the mean of frames is (0.6 + 1 + 0.75) / 3.
    assert scores.j_dataset == pytest.approx(7 / 11)
    assert scores.j == pytest.approx((0.6 + 1 + 0.75) / 3, abs=1e-6)
    # Thresholds in (0.1, 0.9]: TP 3 + 4 = 7, masked 4 + 4 + 2 = 10, sounding 8: P 0.7, R 0.875.
    assert scores.f_dataset == pytest.approx(1.3 * 0.7 * 0.875 / (0.3 * 0.7 + 0.875))


def test_frames_without_a_known_mask_are_left_out() -> None:
    metrics, first_only = BinaryMetrics(), BinaryMetrics()
    clip = np.stack([HALF, EMPTY])[None], np.stack([MASK, MASK])[None]
    metrics.update(*clip, np.array([[True, False]]))
    first_only.update(clip[0][:, :1], clip[1][:, :1])
    assert same(metrics.compute(), first_only.compute())


def test_nothing_added_is_not_a_number() -> None:
    scores = BinaryMetrics().compute()
    assert math.isnan(scores.j)
    assert math.isnan(scores.f)
    assert scores.frames == 0


def test_logits_and_mismatched_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"reach from -2\.0 to 3\.0; apply the sigmoid"):
        frame_j(image([[-2, 3]])[None], ONE_OF_TWO[None])
    with pytest.raises(ValueError, match=r"probability \[1, 1, 2\] and mask \[1, 2, 4\]"):
        frame_j(ONE_OF_TWO[None], MASK[None])
    with pytest.raises(ValueError, match="reach from nan"):
        frame_j(image([[math.nan, 0]])[None], ONE_OF_TWO[None])


probabilities = hnp.arrays(
    np.float32,
    (3, 4, 5),
    elements=st.one_of(
        st.floats(0, 1, width=32),
        st.sampled_from([float(t) for t in f_thresholds()]),
        st.sampled_from([float(np.nextafter(t, np.float32(0))) for t in f_thresholds()[1:]]),
    ),
)
masks = hnp.arrays(np.uint8, (3, 4, 5), elements=st.integers(0, 1))


@settings(deadline=None, max_examples=60)
@given(probabilities, masks)
def test_curves_equal_counting_at_every_threshold(p: np.ndarray, m: np.ndarray) -> None:
    curves, sounding = frame_f_curves(p, m)
    for n in range(len(p)):
        assert sounding[n] == m[n].any()
        for k, threshold in enumerate(f_thresholds()):
            masked = p[n] >= threshold
            expected = f_measure((masked & (m[n] > 0)).sum(), masked.sum(), m[n].sum())
            assert curves[n, k] == pytest.approx(float(expected), abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(probabilities, masks, st.permutations(range(3)))
def test_scores_do_not_depend_on_batches_or_order(p: np.ndarray, m: np.ndarray, order: list[int]) -> None:
    together, apart = BinaryMetrics(), BinaryMetrics()
    together.update(p[:, None], m[:, None])
    for k in order:
        apart.update(p[k : k + 1, None], m[k : k + 1, None])
    assert same(together.compute(), apart.compute())


@pytest.mark.parametrize("tpavi_compatible", [False, True])
def test_parts_of_several_processes_merge_to_the_whole(tpavi_compatible: bool) -> None:
    rng = np.random.default_rng(0)
    p, m = rng.random((6, 2, 4, 4), np.float32), rng.random((6, 2, 4, 4)) > 0.8
    m[4:] = False
    whole, *parts = (BinaryMetrics(tpavi_compatible=tpavi_compatible) for _ in range(4))
    for k in range(0, 6, 2):
        whole.update(p[k : k + 2], m[k : k + 2])
        parts[k // 2].update(p[k : k + 2], m[k : k + 2])
    for part in parts[1:]:
        parts[0].merge(part)
    assert same(parts[0].compute(), whole.compute())
