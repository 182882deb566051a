"""J and F of S4 and MS3, exactly as the published code scores them, and without its batch effect.

The published F takes, per evaluation batch, the best of 255 thresholds; the same predictions in
smaller batches score higher. Here every clip is a batch of its own unless `tpavi_compatible` asks for
the batches as they come; that equals the published code at batch 1. Dataset-level variants and false
alarms on silent frames, which J hardly punishes, stand beside.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

BETA2 = 0.3
THRESHOLDS = 255
J_THRESHOLD = 0.5
J_EPS = 1e-7
F_EPS = 1e-20

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class BinaryScores:
    """All in 0..1 but the counts; NaN where no frame or clip counts.

    Attributes:
        j: mean over batches of the mean frame J. J of a silent frame is the share of its pixels
            rightly left out.
        f: mean over batches of the best-threshold F of their sounding frames; a batch without any
            sounding frame counts as 0, as published.
        f_sounding: the same over the batches that have a sounding frame.
        f_one_threshold: F with one threshold for the whole set: the best mean over sounding frames.
        j_dataset: intersection summed over all frames, by union summed over all frames.
        f_dataset: best-threshold F of precision and recall summed over all frames.
        silent_alarm_rate: share of silent frames on which at least one pixel is masked.
        silent_alarm_area: mean share of a silent frame that is masked.
        batches: batches that the means run over (clips, unless `tpavi_compatible`).
        clips: clips with at least one scored frame.
        frames: scored frames.
        silent_frames: scored frames whose true mask is empty.
    """

    j: float
    f: float
    f_sounding: float
    f_one_threshold: float
    j_dataset: float
    f_dataset: float
    silent_alarm_rate: float
    silent_alarm_area: float
    batches: int
    clips: int
    frames: int
    silent_frames: int


@functools.cache
def f_thresholds() -> NDArray[np.float32]:
    """Return the 255 thresholds, float32 from 0 to 1 (1 - 1e-10 rounds to 1), evenly spaced."""
    values = np.linspace(0, 1, THRESHOLDS, dtype=np.float32)
    values.setflags(write=False)
    return values


def frame_j(probability: ArrayLike, mask: ArrayLike, threshold: float = J_THRESHOLD) -> FloatArray:
    """J of each frame: I / (U + 1e-7) of `probability > threshold`.

    A frame whose mask is empty scores by what is rightly left out: H·W minus the false pixels, by H·W.

    Args:
        probability: float [N, H, W] in 0..1.
        mask: [N, H, W], not 0 where something sounds.

    Returns:
        float64 [N].
    """
    p, m = _checked(probability, mask)
    intersection, union = _overlap(p, m, threshold)
    pixels = m[0].size if len(m) else 1
    silent = ~m.any(axis=(1, 2))
    # On a silent frame the union is what was masked, all of it wrongly.
    intersection = np.where(silent, pixels - union, intersection)
    return np.asarray(intersection / (np.where(silent, pixels, union) + J_EPS))


def frame_f_curves(probability: ArrayLike, mask: ArrayLike) -> tuple[FloatArray, NDArray[np.bool_]]:
    """F of each frame at each threshold (`probability >= threshold`), beta² = 0.3.

    Args:
        probability: float [N, H, W] in 0..1.
        mask: [N, H, W], not 0 where something sounds.

    Returns:
        curves: float64 [N, 255]; 0 for silent frames.
        sounding: bool [N], False for silent frames, which F leaves out.
    """
    p, m = _checked(probability, mask)
    true, predicted, actual = _threshold_counts(p, m)
    return f_measure(true, predicted, actual[:, None]), actual > 0


def f_measure(true: ArrayLike, predicted: ArrayLike, actual: ArrayLike) -> FloatArray:
    """F from pixel counts: P = true / predicted, R = true / actual, 1.3·P·R / (0.3·P + R); 0/0 is 0."""
    hits = np.asarray(true, np.float64)
    precision = hits / (np.asarray(predicted) + F_EPS)
    recall = hits / (np.asarray(actual) + F_EPS)
    weighted = BETA2 * precision + recall
    safe = np.where(weighted > 0, weighted, 1.0)
    return np.where(weighted > 0, (1 + BETA2) * precision * recall / safe, 0.0)


class BinaryMetrics:
    """Adds up scores batch by batch.

    Args:
        tpavi_compatible: average over the batches given to `update`, as the published code does,
            rather than over clips.
    """

    def __init__(self, *, tpavi_compatible: bool = False) -> None:
        self.tpavi_compatible = tpavi_compatible
        self._batch_j: list[float] = []
        self._batch_f: list[float] = []
        self._batch_sounds: list[bool] = []
        self._curve_sum = np.zeros(THRESHOLDS)
        self._counts = np.zeros((2, THRESHOLDS))
        self._actual = self._intersection = self._union = 0.0
        self._clips = self._frames = self._silent = self._alarms = 0
        self._alarm_area = 0.0

    def update(self, probability: ArrayLike, mask: ArrayLike, mask_valid: ArrayLike | None = None) -> None:
        """Add one batch.

        Args:
            probability: float [B, T, H, W] in 0..1, at the size of the masks.
            mask: [B, T, H, W], not 0 where something sounds.
            mask_valid: bool [B, T], the frames to score; None scores all.

        Raises:
            ValueError: shapes differ, or probabilities are not in 0..1.
        """
        p, m = np.asarray(probability, np.float32), np.asarray(mask) != 0
        if p.ndim != 4 or p.shape != m.shape:
            raise ValueError(f"probability {list(p.shape)} and mask {list(m.shape)} are not one [B, T, H, W]")
        valid = np.ones(p.shape[:2], np.bool_) if mask_valid is None else np.asarray(mask_valid, np.bool_)
        self._clips += int(valid.any(axis=1).sum())
        if self.tpavi_compatible:
            self._add(p[valid], m[valid])
        else:
            for clip in range(len(p)):
                self._add(p[clip, valid[clip]], m[clip, valid[clip]])

    def merge(self, other: BinaryMetrics) -> None:
        """Add what another process has added up over batches of its own."""
        self._batch_j += other._batch_j
        self._batch_f += other._batch_f
        self._batch_sounds += other._batch_sounds
        self._curve_sum = self._curve_sum + other._curve_sum
        self._counts = self._counts + other._counts
        self._actual += other._actual
        self._intersection += other._intersection
        self._union += other._union
        self._clips += other._clips
        self._frames += other._frames
        self._silent += other._silent
        self._alarms += other._alarms
        self._alarm_area += other._alarm_area

    def compute(self) -> BinaryScores:
        """Return the scores of everything added so far."""
        sounds = np.array(self._batch_sounds, np.bool_)
        sounding_frames = self._frames - self._silent
        dataset_f = f_measure(self._counts[0], self._counts[1], self._actual)
        return BinaryScores(
            j=_mean(self._batch_j),
            f=_mean(self._batch_f),
            f_sounding=_mean(np.array(self._batch_f)[sounds]),
            f_one_threshold=_ratio(float(self._curve_sum.max()), sounding_frames),
            j_dataset=_ratio(self._intersection, self._union),
            f_dataset=float(dataset_f.max()) if self._actual else float("nan"),
            silent_alarm_rate=_ratio(self._alarms, self._silent),
            silent_alarm_area=_ratio(self._alarm_area, self._silent),
            batches=len(self._batch_j),
            clips=self._clips,
            frames=self._frames,
            silent_frames=self._silent,
        )

    def _add(self, p: NDArray[np.float32], m: NDArray[np.bool_]) -> None:
        """Add the frames [N, H, W] of one batch."""
        if len(p) == 0:
            return
        p, m = _checked(p, m)
        true, predicted, actual = _threshold_counts(p, m)
        curves, sounding = f_measure(true, predicted, actual[:, None]), actual > 0
        intersection, union = _overlap(p, m, J_THRESHOLD)
        self._batch_j.append(float(frame_j(p, m).mean()))
        self._batch_f.append(float(curves[sounding].mean(axis=0).max()) if sounding.any() else 0.0)
        self._batch_sounds.append(bool(sounding.any()))
        self._curve_sum += curves[sounding].sum(axis=0)
        self._counts += np.stack([true.sum(axis=0), predicted.sum(axis=0)])
        self._actual += float(actual.sum())
        self._intersection += float(intersection.sum())
        self._union += float(union.sum())
        self._frames += len(p)
        self._silent += int((~sounding).sum())
        self._alarms += int((union[~sounding] > 0).sum())
        self._alarm_area += float(union[~sounding].sum()) / m[0].size


def _checked(probability: ArrayLike, mask: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    p, m = np.asarray(probability, np.float32), np.asarray(mask) != 0
    if p.ndim != 3 or p.shape != m.shape:
        raise ValueError(f"probability {list(p.shape)} and mask {list(m.shape)} are not one [N, H, W]")
    if p.size and not (p.min() >= 0 and p.max() <= 1):
        raise ValueError(f"probabilities reach from {p.min()} to {p.max()}; apply the sigmoid first")
    return p, m


def _overlap(p: NDArray[np.float32], m: NDArray[np.bool_], threshold: float) -> tuple[FloatArray, FloatArray]:
    """Intersection and union in pixels, float64 [N] each."""
    predicted = p > np.float32(threshold)
    intersection = (predicted & m).sum(axis=(1, 2), dtype=np.float64)
    union = (predicted | m).sum(axis=(1, 2), dtype=np.float64)
    return intersection, union


def _threshold_counts(
    p: NDArray[np.float32], m: NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Count pixels at or above each threshold.

    Returns:
        true: float64 [N, 255], of the pixels that sound.
        predicted: float64 [N, 255], of all pixels.
        actual: float64 [N], pixels that sound.
    """
    true, predicted = np.zeros((len(p), THRESHOLDS)), np.zeros((len(p), THRESHOLDS))
    for n in range(len(p)):
        level = _highest_reached(p[n])
        both = np.bincount((level + THRESHOLDS * m[n]).ravel(), minlength=2 * THRESHOLDS)
        silent, sounding = both.reshape(2, THRESHOLDS)[:, ::-1].cumsum(axis=1)[:, ::-1]
        true[n], predicted[n] = sounding, silent + sounding
    return true, predicted, m.sum(axis=(1, 2), dtype=np.float64)


def _highest_reached(p: NDArray[np.float32]) -> NDArray[np.intp]:
    """Index of the highest threshold that each probability reaches (`p >= threshold`)."""
    thresholds = f_thresholds()
    guess = (p * np.float32(THRESHOLDS - 1)).astype(np.intp)
    # Rounding may put the guess one off, either way.
    guess += thresholds[np.minimum(guess + 1, THRESHOLDS - 1)] <= p
    guess = np.minimum(guess, THRESHOLDS - 1)
    return guess - (thresholds[guess] > p)


def _mean(values: ArrayLike) -> float:
    array = np.asarray(values, np.float64)
    return float(array.mean()) if array.size else float("nan")


def _ratio(value: float, count: float) -> float:
    return value / count if count else float("nan")
