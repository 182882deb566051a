"""AVSS scores against values worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stream_avs.evaluation.semantic_metrics import SemanticMetrics

# One frame of six pixels. Class 1: 2 labelled, 2 predicted, 1 right. Class 2: only predicted (1).
MASK = np.array([[0, 0, 0, 0, 1, 1]])
PREDICTED = np.array([[0, 0, 0, 2, 1, 0]])
# Class 0: both 3, labelled 4, predicted 4: I 3, U 5, P = R = 3/4: F 3/4.
# Class 1: both 1, labelled 2, predicted 1: I 1, U 2, P 1, R 1/2: F = 1.3·0.5 / (0.3 + 0.5) = 0.8125.
# Class 2: both 0, predicted 1: counted, IoU 0, F 0.


def scored(
    predicted: np.ndarray,
    mask: np.ndarray,
    classes: int = 4,
    *,
    padding: int = 0,
    score_padding: bool = False,
) -> SemanticMetrics:
    """One clip of one real frame and some padding."""
    frames = 1 + padding
    p, m = (np.stack([a] + [np.zeros_like(a)] * padding)[None] for a in (predicted, mask))
    real = np.arange(frames)[None] < 1
    metrics = SemanticMetrics(4, score_padding=score_padding)
    metrics.update(p, m, real, real)
    return metrics


def test_one_frame_by_hand() -> None:
    scores = scored(PREDICTED, MASK).compute()
    assert scores.class_iou[:3] == pytest.approx((3 / 5, 1 / 2, 0.0))
    assert scores.class_f[:3] == pytest.approx((0.75, 0.8125, 0.0))
    assert math.isnan(scores.class_iou[3])
    # Over 4 classes, the one never seen as 0: (0.6 + 0.5 + 0 + 0) / 4; without class 0: 0.5 / 3.
    assert scores.miou == pytest.approx(1.1 / 4)
    assert scores.f == pytest.approx((0.75 + 0.8125) / 4)
    assert scores.miou_no_background == pytest.approx(0.5 / 3)
    assert scores.f_no_background == pytest.approx(0.8125 / 3)
    # Over the classes seen, 1 and 2: 0.5 / 2.
    assert scores.miou_seen == pytest.approx(0.25)


def test_classes_average_over_the_frames_that_have_them() -> None:
    metrics = SemanticMetrics(3)
    # Frame 1 as above. Frame 2: all background, predicted so: IoU 1 for class 0, class 1 not counted.
    p = np.stack([PREDICTED, np.zeros_like(MASK)])[None]
    m = np.stack([MASK, np.zeros_like(MASK)])[None]
    valid = np.ones((1, 2), bool)
    metrics.update(p, m, valid, valid)
    scores = metrics.compute()
    assert scores.class_iou[0] == pytest.approx((0.6 + 1) / 2)
    assert scores.class_iou[1] == pytest.approx(0.5)  # not (0.5 + 0) / 2, and not sum I / sum U


def test_padding_is_left_out_or_raises_the_background() -> None:
    left_out = scored(PREDICTED, MASK, padding=4).compute()
    scored_too = scored(PREDICTED, MASK, padding=4, score_padding=True).compute()
    assert left_out == scored(PREDICTED, MASK).compute() or left_out.class_iou[:3] == pytest.approx(
        (0.6, 0.5, 0)
    )
    # Four padded frames, each IoU 1 for the background: (0.6 + 4) / 5; other classes as before.
    assert scored_too.class_iou[:3] == pytest.approx((4.6 / 5, 0.5, 0.0))
    assert (left_out.frames, scored_too.frames, scored_too.padded_frames) == (1, 5, 4)


def test_unlabelled_real_frames_are_never_scored() -> None:
    for score_padding in (False, True):
        metrics = SemanticMetrics(4, score_padding=score_padding)
        metrics.update(
            np.stack([PREDICTED, PREDICTED])[None], np.stack([MASK, MASK * 0])[None],
            np.array([[True, False]]), np.array([[True, True]]),
        )  # fmt: skip
        assert metrics.compute().frames == 1


def test_false_alarms_on_silent_frames() -> None:
    metrics = SemanticMetrics(4)
    p = np.stack([PREDICTED, np.zeros_like(MASK)])[:, None]
    metrics.update(p, np.zeros_like(p), np.ones((2, 1), bool), np.ones((2, 1), bool))
    scores = metrics.compute()
    # Of two silent frames one has 2 of 6 pixels masked.
    assert scores.silent_alarm_rate == pytest.approx(1 / 2)
    assert scores.silent_alarm_area == pytest.approx((2 / 6) / 2)
    assert scores.silent_frames == 2


def test_batches_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    p, m = rng.integers(0, 4, (2, 6, 3, 5, 5))
    valid = np.ones((6, 3), bool)
    together, apart = SemanticMetrics(4), SemanticMetrics(4)
    together.update(p, m, valid, valid)
    for k in range(6):
        apart.update(p[k : k + 1], m[k : k + 1], valid[:1], valid[:1])
    first, last = SemanticMetrics(4), SemanticMetrics(4)
    first.update(p[:4], m[:4], valid[:4], valid[:4])
    last.update(p[4:], m[4:], valid[4:], valid[4:])
    first.merge(last)
    assert first.compute().class_f == pytest.approx(together.compute().class_f)
    assert together.compute().class_iou == pytest.approx(apart.compute().class_iou)
    assert together.compute().frames == apart.compute().frames == 18


def test_ids_that_are_no_class_are_refused() -> None:
    with pytest.raises(ValueError, match=r"mask holds ids 0\.\.9, classes are 0\.\.3"):
        scored(PREDICTED, MASK * 9)
    with pytest.raises(ValueError, match="predicted"):
        scored(PREDICTED, MASK[:, :3])
