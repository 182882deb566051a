"""Beginnings of loud, sudden sounds: beeps and claps.

Found where the level jumps above what it was just before, then timed on the power envelope. A
centred moving average of the power turns a step into a ramp whose half-way point is the step
itself; so the crossing is unbiased for a sudden sound, and early for none.
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

COARSE_HOP_S = 0.001
COARSE_WINDOW_S = 0.005
BEFORE_S = (0.120, 0.010)
"""The level before is the median from the first to the second of these times before the moment."""

FINE_WINDOW_S = 0.002
CROSSING = 0.4
"""Share of the peak power at which a sound has begun; below one half because of early echoes."""
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
    for hop in _peaks(rises_db):
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


def _peaks(rises_db: NDArray[np.float64]) -> list[int]:
    """Hops of the strongest rises; each silences its neighbours within `REFRACTORY_S`."""
    refractory = round(REFRACTORY_S / COARSE_HOP_S)
    taken = np.zeros(len(rises_db), dtype=bool)
    peaks = []
    candidates = np.flatnonzero(rises_db >= JUMP_DB)
    for hop in candidates[np.argsort(-rises_db[candidates], kind="stable")]:
        if not taken[hop]:
            peaks.append(int(hop))
            taken[max(0, hop - refractory) : hop + refractory + 1] = True
    return peaks


def _crossing(total: NDArray[np.float64], peak_s: float, rate_hz: float) -> float:
    """Sample index, with fraction, at which the sound that peaks near `peak_s` begins."""
    hop_s = 0.25 * FINE_WINDOW_S / 2
    before_s = peak_s - COARSE_WINDOW_S - PEAK_WITHIN_S
    grid_s = np.arange(max(0.0, before_s), peak_s + PEAK_WITHIN_S, hop_s)
    power = _mean_power(total, grid_s, FINE_WINDOW_S, rate_hz)
    noise_grid_s = np.arange(max(0.0, peak_s - BEFORE_S[0]), peak_s - BEFORE_S[1], FINE_WINDOW_S)
    noise = float(np.median(_mean_power(total, noise_grid_s, FINE_WINDOW_S, rate_hz)))
    top = int(np.argmax(power))
    level = noise + CROSSING * (float(power[top]) - noise)
    # Walk back from the peak: what lies before the last crossing is not this sound.
    below = np.flatnonzero(power[:top] < level)
    if len(below) == 0:
        return float(grid_s[0] * rate_hz)
    i = int(below[-1])
    share = (level - power[i]) / (power[i + 1] - power[i])
    return float((grid_s[i] + share * hop_s) * rate_hz)
