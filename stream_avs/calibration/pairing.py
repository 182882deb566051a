"""Which sound belongs to which event in the picture, when some of either have no partner.

Every shift within reach is tried; the right one lets most events find a partner. Other shifts get
partners by chance or because the events come at a regular pace: when they get nearly as many, the
answer is ambiguous, and that is said.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEP_S = 0.002
"""Spacing of the shifts that are tried."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pairing:
    """The pairs at the shift that gives most of them.

    Attributes:
        pairs: (index of the picture event, index of the sound), in order of time.
        shift_s: the shift, sound minus picture.
        runner_up: how many pairs the best shift elsewhere gives.
        runner_up_shift_s: that shift.
    """

    pairs: tuple[tuple[int, int], ...]
    shift_s: float
    runner_up: int
    runner_up_shift_s: float


def pair_events(
    picture_s: NDArray[np.float64], sound_s: NDArray[np.float64], *, max_shift_s: float, tolerance_s: float
) -> Pairing:
    """Pair events in the picture with sounds.

    Args:
        picture_s: float64 [p], times of the events in the picture, rising.
        sound_s: float64 [s], times of the sounds, rising.
        max_shift_s: largest shift, either way, that is tried.
        tolerance_s: how far a pair may be from the common shift.
    """
    shifts_s = np.arange(-max_shift_s, max_shift_s + STEP_S / 2, STEP_S)
    counts = np.array([len(_matches(picture_s, sound_s, s, tolerance_s)) for s in shifts_s])
    if counts.max(initial=0) == 0:
        return Pairing(pairs=(), shift_s=0.0, runner_up=0, runner_up_shift_s=0.0)
    # Many neighbouring shifts pair the same events: take the one at which they fit best.
    best = shifts_s[np.flatnonzero(counts == counts.max())]
    fits = [_misfit(picture_s, sound_s, s, tolerance_s) for s in best]
    shift_s = float(best[int(np.argmin(fits))])
    pairs = _matches(picture_s, sound_s, shift_s, tolerance_s)
    elsewhere = np.where(np.abs(shifts_s - shift_s) > 3 * tolerance_s, counts, 0)
    second = int(np.argmax(elsewhere))
    return Pairing(
        pairs=tuple(pairs),
        shift_s=shift_s,
        runner_up=int(elsewhere[second]),
        runner_up_shift_s=float(shifts_s[second]),
    )


def _matches(
    picture_s: NDArray[np.float64], sound_s: NDArray[np.float64], shift_s: float, tolerance_s: float
) -> list[tuple[int, int]]:
    """One-to-one pairs within the tolerance: each the other's nearest."""
    if len(picture_s) == 0 or len(sound_s) == 0:
        return []
    shifted = picture_s + shift_s
    to_sound = _nearest(shifted, sound_s)
    to_picture = _nearest(sound_s, shifted)
    return [
        (p, int(s))
        for p, s in enumerate(to_sound)
        if to_picture[s] == p and abs(sound_s[s] - shifted[p]) <= tolerance_s
    ]


def _nearest(of: NDArray[np.float64], among: NDArray[np.float64]) -> NDArray[np.intp]:
    right = np.clip(np.searchsorted(among, of), 0, len(among) - 1)
    left = np.maximum(right - 1, 0)
    return np.where(np.abs(among[left] - of) <= np.abs(among[right] - of), left, right)


def _misfit(
    picture_s: NDArray[np.float64], sound_s: NDArray[np.float64], shift_s: float, tolerance_s: float
) -> float:
    pairs = _matches(picture_s, sound_s, shift_s, tolerance_s)
    return sum(abs(float(sound_s[s] - picture_s[p]) - shift_s) for p, s in pairs)
