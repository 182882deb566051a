"""How masks behave over time: how soon they follow the sound, how steady they are, when they lie.

All of it compares class-id masks, uint8 [T, H, W], 0 = not sounding; give 0 and 1 to leave classes
out of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FOLLOWS_IOU = 0.5
QUIET_AREA = 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class SwitchScores:
    """How soon masks follow a change of the sound.

    Attributes:
        delays: per change, frames until the mask is right, 0 = at once; None when it was not right
            before the next change or the end.
        mean_frames: over the changes that were followed; NaN without any.
        p95_frames: 95th percentile of the same.
        missed: changes that were not followed.
    """

    delays: tuple[int | None, ...]
    mean_frames: float
    p95_frames: float
    missed: int


def switch_delay(
    predicted: ArrayLike,
    truth: ArrayLike,
    switched: ArrayLike,
    *,
    iou: float = FOLLOWS_IOU,
    quiet_area: float = QUIET_AREA,
) -> SwitchScores:
    """Measure how many frames pass from a change of the sound to a right mask.

    A mask is right when its IoU with the truth, ids compared, is at least `iou`; or, while nothing
    visible sounds, when it covers at most `quiet_area` of the frame.

    Args:
        predicted: int [T, H, W], class ids.
        truth: int [T, H, W], class ids.
        switched: bool [T], True on the first frame of a new set of sounding objects.
        iou: smallest IoU of a right mask.
        quiet_area: largest share of the frame that passes for silence.
    """
    p, m = _pair(predicted, truth)
    right = _right(p, m, iou, quiet_area)
    starts = np.flatnonzero(np.asarray(switched, np.bool_))
    ends = [*starts[1:], len(p)][: len(starts)]
    delays: list[int | None] = []
    for start, end in zip(starts, ends, strict=True):
        first = np.flatnonzero(right[start:end])
        delays.append(int(first[0]) if first.size else None)
    followed = [d for d in delays if d is not None]
    return SwitchScores(
        delays=tuple(delays),
        mean_frames=float(np.mean(followed)) if followed else float("nan"),
        p95_frames=float(np.percentile(followed, 95)) if followed else float("nan"),
        missed=len(delays) - len(followed),
    )


def flicker(predicted: ArrayLike, truth: ArrayLike | None = None, switched: ArrayLike | None = None) -> float:
    """Measure how much masks change beyond what moves.

    Between two frames the prediction changes in some number of pixels, and so does the truth as the
    object moves. The part of the first that exceeds the second, by the larger of the areas in the two
    frames, is the flicker of the pair: 0 for a mask that moves as the object does, even if it is off
    by some pixels throughout; 1 for a mask that comes and goes. The mean over pairs is returned;
    pairs across a change of the sound are left out, pairs without any mask count as 0.

    Args:
        predicted: int [T, H, W], class ids.
        truth: int [T, H, W]; None for a scene in which nothing moves.
        switched: bool [T], True on the first frame of a new set of sounding objects.

    Returns:
        0..1; NaN for fewer than two frames.
    """
    p, m = _pair(predicted, np.zeros_like(np.asarray(predicted)) if truth is None else truth)
    kept = np.ones(max(len(p) - 1, 0), np.bool_)
    if switched is not None:
        kept &= ~np.asarray(switched, np.bool_)[1:]
    if not kept.any():
        return float("nan")
    change = (p[1:] != p[:-1]).sum(axis=(1, 2))
    motion = (m[1:] != m[:-1]).sum(axis=(1, 2))
    seen = ((p[1:] > 0) | (p[:-1] > 0)).sum(axis=(1, 2))
    areas = np.stack([seen, (m[1:] > 0).sum(axis=(1, 2)), (m[:-1] > 0).sum(axis=(1, 2))]).max(axis=0)
    excess = np.maximum(0, change - motion) / np.maximum(areas, 1)
    return float(np.minimum(excess, 1.0)[kept].mean())


@dataclass(frozen=True, kw_only=True, slots=True)
class FalseAlarms:
    """What is masked while nothing visible sounds.

    Attributes:
        area: mean share of the frame that is masked; NaN without such frames.
        rate: share of those frames with more than `QUIET_AREA` masked; NaN without such frames.
        frames: frames on which nothing visible sounds.
    """

    area: float
    rate: float
    frames: int


def false_alarms(predicted: ArrayLike, truth: ArrayLike, chosen: ArrayLike | None = None) -> FalseAlarms:
    """Measure what is masked on frames whose true mask is empty: silence, noise, off-screen sound.

    Args:
        predicted: int [T, H, W], class ids.
        truth: int [T, H, W], class ids.
        chosen: bool [T], frames to look at, e.g. those of one kind; None for all.
    """
    p, m = _pair(predicted, truth)
    silent = ~m.any(axis=(1, 2))
    if chosen is not None:
        silent &= np.asarray(chosen, np.bool_)
    if not silent.any():
        return FalseAlarms(area=float("nan"), rate=float("nan"), frames=0)
    areas = (p[silent] > 0).mean(axis=(1, 2))
    return FalseAlarms(
        area=float(areas.mean()), rate=float((areas > QUIET_AREA).mean()), frames=int(silent.sum())
    )


def _pair(predicted: ArrayLike, truth: ArrayLike) -> tuple[NDArray, NDArray]:
    p, m = np.asarray(predicted), np.asarray(truth)
    if p.ndim != 3 or p.shape != m.shape:
        raise ValueError(f"predicted {list(p.shape)} and truth {list(m.shape)} are not one [T, H, W]")
    return p, m


def _right(p: NDArray, m: NDArray, iou: float, quiet_area: float) -> NDArray[np.bool_]:
    """bool [T]: whether each mask fits the truth."""
    intersection = ((p == m) & (m > 0)).sum(axis=(1, 2))
    union = ((p > 0) | (m > 0)).sum(axis=(1, 2))
    sounding = m.any(axis=(1, 2))
    fits = intersection >= iou * np.maximum(union, 1)
    quiet = (p > 0).mean(axis=(1, 2)) <= quiet_area
    return np.where(sounding, fits, quiet)
