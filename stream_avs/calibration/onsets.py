"""Beginnings of loud, sudden sounds: beeps and claps.

Found where the level jumps above what it was just before, then timed on the power envelope. A
centred moving average of the power turns a step into a ramp as long as the window, with the step at
its middle; so from the moment any share of the power is reached, the step is known.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_avs.calibration.tracks import SoundPiece

JUMP_DB = 10.0
"""A sound begins where the level rises by this much over that of the time before."""

FLOOR_DBFS = -70.0
"""Nothing quieter than this counts: below it a quiet microphone shows only its own rounding."""

REFRACTORY_S = 0.2
"""One sound in this time; echoes and the rest of a clap are not new sounds."""

RUMBLE_WINDOW_S = 0.004
"""The moving average over this long is taken away: it removes offset and hum below about 100 Hz."""

BUILD_UP_S = 0.06
BUILD_UP_DB = 6.0
"""A sound begins where it first comes this close to its loudest, within this time before that."""

COARSE_HOP_S = 0.001
COARSE_WINDOW_S = 0.005
BEFORE_S = (0.120, 0.010)
"""The level before is the median from the first to the second of these times before the moment."""

FINE_WINDOW_S = 0.002
CROSSING = 0.25
"""Share of the peak power at which a sound has begun; low, for early echoes can double the power."""
PEAK_WITHIN_S = 0.008
"""The peak power is looked for this long after the level jumps, before most echoes arrive."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Onset:
    """The beginning of a sound: when, on the microphone's clock, and by how much the level rose."""

    time_ns: int
    rise_db: float


def find_onsets(pieces: Iterable[SoundPiece]) -> tuple[Onset, ...]:
    """Find the sudden sounds of a recording, in order of time."""
    onsets = [onset for piece in pieces for onset in _of_piece(piece)]
    return tuple(sorted(onsets, key=lambda o: o.time_ns))


def _of_piece(piece: SoundPiece) -> list[Onset]:
    if len(piece.samples) < (BEFORE_S[0] + 0.05) * piece.rate_hz:
        return []
    power = np.square(_without_rumble(piece.samples, piece.rate_hz))
    # Exact sums: a running sum of float32 powers loses quiet sounds after a loud one.
    total = np.concatenate(([0.0], np.cumsum(power, dtype=np.float64)))
    rises_db = _rises(total, piece.rate_hz)
    onsets = []
    for hop in _beginnings(rises_db):
        index = _crossing(total, hop * COARSE_HOP_S, piece.rate_hz)
        onsets.append(Onset(time_ns=piece.time_ns(index), rise_db=float(rises_db[hop])))
    return onsets


def _without_rumble(samples: NDArray[np.float32], rate_hz: float) -> NDArray[np.float64]:
    width = max(3, int(RUMBLE_WINDOW_S * rate_hz) | 1)
    padded = np.pad(samples.astype(np.float64), width // 2, mode="edge")
    total = np.concatenate(([0.0], np.cumsum(padded)))
    return np.asarray(samples - (total[width:] - total[:-width]) / width)


def _mean_power(
    total: NDArray[np.float64], centres_s: NDArray[np.float64], window_s: float, rate_hz: float
) -> NDArray[np.float64]:
    """Mean power in windows around moments given in seconds from the beginning."""
    half = window_s / 2
    index = np.arange(len(total))
    low = np.interp((centres_s - half) * rate_hz, index, total)
    high = np.interp((centres_s + half) * rate_hz, index, total)
    return np.asarray((high - low) / (window_s * rate_hz))


def _rises(total: NDArray[np.float64], rate_hz: float) -> NDArray[np.float64]:
    """By how many dB each hop, every `COARSE_HOP_S`, is louder than what was before it."""
    duration_s = (len(total) - 1) / rate_hz
    centres_s = np.arange(0.0, duration_s, COARSE_HOP_S)
    power = _mean_power(total, centres_s, COARSE_WINDOW_S, rate_hz)
    level_db: NDArray[np.float64] = np.maximum(10 * np.log10(np.maximum(power, 1e-12)), FLOOR_DBFS)
    first, last = (round(s / COARSE_HOP_S) for s in BEFORE_S)
    span = first - last
    medians = np.median(np.lib.stride_tricks.sliding_window_view(level_db, span), axis=1)
    rises = np.zeros(len(level_db))
    rises[first:] = level_db[first:] - medians[: len(level_db) - first]
    return rises


def _beginnings(rises_db: NDArray[np.float64]) -> list[int]:
    """Hops at which the strongest rises begin; each silences its neighbours within `REFRACTORY_S`."""
    refractory = round(REFRACTORY_S / COARSE_HOP_S)
    reach = round(BUILD_UP_S / COARSE_HOP_S)
    taken = np.zeros(len(rises_db), dtype=bool)
    beginnings = []
    candidates = np.flatnonzero(rises_db >= JUMP_DB)
    for hop in candidates[np.argsort(-rises_db[candidates], kind="stable")]:
        if not taken[hop]:
            first = max(0, hop - reach)
            enough_db = max(JUMP_DB / 2, rises_db[hop] - BUILD_UP_DB)
            beginnings.append(first + int(np.argmax(rises_db[first : hop + 1] >= enough_db)))
            taken[max(0, hop - refractory) : hop + refractory + 1] = True
    return beginnings


def _crossing(total: NDArray[np.float64], near_s: float, rate_hz: float) -> float:
    """Sample index, with fraction, at which the sound that is loud from about `near_s` on begins."""
    hop_s = FINE_WINDOW_S / 8
    grid_s = np.arange(max(0.0, near_s - 2 * COARSE_WINDOW_S), near_s + PEAK_WITHIN_S, hop_s)
    power = _mean_power(total, grid_s, FINE_WINDOW_S, rate_hz)
    before_s = np.arange(max(0.0, near_s - BEFORE_S[0]), near_s - BEFORE_S[1], FINE_WINDOW_S)
    noise = float(np.median(_mean_power(total, before_s, FINE_WINDOW_S, rate_hz)))
    level = noise + CROSSING * (float(power.max()) - noise)
    i = int(np.argmax(power >= level))
    if i == 0:
        return float(grid_s[0] * rate_hz)
    share = (level - power[i - 1]) / (power[i] - power[i - 1])
    crossed_s = grid_s[i - 1] + share * hop_s
    return float((crossed_s + (0.5 - CROSSING) * FINE_WINDOW_S) * rate_hz)
