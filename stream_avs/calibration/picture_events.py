"""Sudden changes in the picture: a flash begins, or two hands meet.

Both end up as the same thing, an `Edge`: values that rise from 0 to 1 around the moment of the
event, sampled at the frames' stamps. A flash is the brightness itself. At a clap the hands stop: the
motion between consecutive frames falls, and one minus that motion rises.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_avs.calibration.tracks import PictureTrack
from stream_avs.types import NS_PER_S

REFRACTORY_S = 0.25
"""Two events closer than this count as one."""

REACH = 4
"""Frames on either side of an event that are looked at."""

MAX_STRETCH = 1.7
"""An event with frames missing right around it, further apart than this many periods, is left out."""

REPEATS = 8
"""How large events are is judged by the one of this rank, as the largest may be a mishap."""

FLASH_NOISE_FACTOR = 6.0
"""A step must be this much larger than the typical change between frames."""

FLASH_SHARE = 0.2
"""A step must have at least this share of the height of the large ones."""

STILL_BRIGHT = 0.85
"""Below this share of its height a flash is over."""

STEADY = 0.95
"""Two frames this close to the greatest height have both seen all of it."""

MOTION_SHARE = 0.4
"""If this share of what brightens darkens elsewhere, something moved."""

USUAL_PERCENTILE = 75

MIN_FLASH_STEP = 8.0
"""Smallest step of brightness, of 255, that counts."""

CLAP_SHARE = 0.25
"""A stop must have at least this share of the height of the large ones."""

MIN_CLAP_MOTION = 0.02
"""Smallest mean change per pixel, of 255, that counts as motion: below it is sensor noise."""

CLAP_STOP = 0.6
"""At a clap motion loses at least this share of its height within two frames."""

CLAP_REFRACTORY_S = 0.5
"""Of two stops closer than this only the more sudden counts: hands stop again after they part."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Edge:
    """One event in the picture.

    Attributes:
        time_ns: roughly when, on the camera's clock.
        stamps_ns: int64 [k], where `values` are sampled.
        values: float64 [k], about 0 before the event and about 1 after it.
    """

    time_ns: int
    stamps_ns: NDArray[np.int64]
    values: NDArray[np.float64]


def find_flashes(track: PictureTrack, weights: NDArray[np.float64] | None = None) -> tuple[Edge, ...]:
    """Find where part of the picture suddenly turns brighter.

    Args:
        track: the pictures.
        weights: float64 [h, w], which part to look at; None looks at all, and takes for each event
            the part that brightens then.
    """
    if len(track.stamps_ns) < 3 * REACH:
        return ()
    # Over two frames, as the exposure of a frame may hold the beginning of the flash.
    jumps = track.grey[2:].astype(np.int16) - track.grey[:-2]
    if weights is None:
        steps = np.maximum(jumps - MIN_FLASH_STEP, 0).mean(axis=(1, 2))
    elif weights.any():
        steps = np.tensordot(jumps, weights / weights.sum(), axes=2)
    else:
        return ()
    noise = float(np.median(np.abs(steps - np.median(steps)))) / 0.6745
    large = float(np.sort(steps)[-min(REPEATS, len(steps))])
    threshold = max(FLASH_NOISE_FACTOR * noise, FLASH_SHARE * large, 1e-9)
    period_s = track.period_s
    flashes = []
    for i in _peaks(steps, threshold, max(2, round(REFRACTORY_S / period_s))):
        part = weights if weights is not None else strong_part(jumps[i])
        first, last = max(0, i + 1 - REACH), i + 1 + REACH
        trace = np.tensordot(track.grey[first:last], part / part.sum(), axes=2)
        flash = _flash(track.stamps_ns[first:last], trace, i + 1 - first, period_s)
        if flash is not None:
            flashes.append(flash)
    # A flash that is short for the camera may never fill an exposure: then others tell its height.
    heights = [f.height for f in flashes if f.steady] or [f.height for f in flashes]
    usual = float(np.percentile(heights, USUAL_PERCENTILE)) if heights else 0.0
    edges = (_flash_edge(f, f.height if f.steady else max(f.height, usual)) for f in flashes)
    return tuple(edge for edge in edges if edge is not None)


def mean_step(track: PictureTrack, times_ns: Sequence[int]) -> NDArray[np.float64]:
    """Return by how much the picture turns brighter at the given times, float64 [h, w].

    Averaged over many events, whatever else moves in the picture cancels.
    """
    period_ns = track.period_s * NS_PER_S
    steps = [np.zeros(track.grey.shape[1:])]
    for time_ns in times_ns:
        before = int(np.searchsorted(track.stamps_ns, time_ns - 1.5 * period_ns)) - 1
        after = int(np.searchsorted(track.stamps_ns, time_ns + 1.5 * period_ns))
        if before >= 0 and after < len(track.grey):
            steps.append(track.grey[after].astype(np.float64) - track.grey[before])
    return np.asarray(np.mean(steps, axis=0))


def strong_part(step: NDArray[np.floating | np.signedinteger]) -> NDArray[np.float64]:
    """Return where a step is largest: what exceeds half its maximum, float64 [h, w], 0 elsewhere."""
    return np.asarray(np.clip(step - 0.5 * float(step.max(initial=0)), 0, None), np.float64)


def is_motion(step: NDArray[np.float64]) -> bool:
    """Whether a mean step darkens the picture in one place where it brightens another, as things do
    that move; a flash only brightens."""
    # Sensor noise, even averaged, is spread over the whole picture and would add up.
    noise = float(np.median(np.abs(step - np.median(step)))) / 0.6745
    clear = max(0.1 * float(np.abs(step).max(initial=0)), 4 * noise)
    brightens = float(np.maximum(step - clear, 0).sum())
    darkens = float(np.maximum(-step - clear, 0).sum())
    return darkens > MOTION_SHARE * brightens


def find_claps(track: PictureTrack) -> tuple[Edge, ...]:
    """Find where fast motion suddenly stops; hands that part or come to rest stop more gently."""
    if len(track.stamps_ns) < 3 * REACH:
        return ()
    motion = motion_energy(track.grey)
    drops = motion[:-2] - motion[2:]
    large = float(np.sort(drops)[-min(REPEATS, len(drops))])
    period_s = track.period_s
    edges = []
    threshold = max(MIN_CLAP_MOTION, CLAP_SHARE * large)
    for i in _peaks(drops, threshold, max(2, round(CLAP_REFRACTORY_S / period_s))):
        edge = _clap_edge(track.stamps_ns, motion, i, period_s)
        if edge is not None:
            edges.append(edge)
    return tuple(edges)


def motion_energy(grey: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean change per pixel between consecutive pictures, beyond the noise; float64 [n - 1].

    Entry k is the motion between pictures k and k + 1.
    """
    change = np.abs(np.diff(grey.astype(np.int16), axis=0))
    noise = np.maximum(2.0 * np.median(change, axis=0), 2.0)
    return np.asarray(np.maximum(change - noise, 0).mean(axis=(1, 2)))


def _peaks(values: NDArray[np.float64], threshold: float, apart: int) -> list[int]:
    """Indices of the largest values above `threshold`, at least `apart` from each other, in order."""
    peaks: list[int] = []
    candidates = np.flatnonzero(values >= threshold)
    for i in candidates[np.argsort(-values[candidates], kind="stable")]:
        if all(abs(int(i) - p) >= apart for p in peaks):
            peaks.append(int(i))
    return sorted(peaks)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Flash:
    """The brightness around a flash, above what it was before; `steady` if it stays at its height."""

    stamps_ns: NDArray[np.int64]
    rise: NDArray[np.float64]
    height: float
    steady: bool


def _flash(
    stamps_ns: NDArray[np.int64], trace: NDArray[np.float64], at: int, period_s: float
) -> _Flash | None:
    """The flash around frame `at`, or None if frames are missing there or it is no clean step."""
    if at < REACH or at + 3 > len(trace):
        return None
    rise = trace - float(np.median(trace[at - REACH : at - 1]))
    top = at + int(np.argmax(rise[at : at + 3]))
    height = float(rise[top])
    if height < MIN_FLASH_STEP or _stretched(stamps_ns[at - 2 : at + 2], period_s):
        return None
    # Up to where it turns darker again: a flash may be shorter than what is looked at.
    darker = np.flatnonzero(rise[top : top + 2] < STILL_BRIGHT * height)
    near = slice(at - REACH, top + (int(darker[0]) if len(darker) else 2))
    beside = rise[top - 1 : top + 2]
    steady = bool(np.sum(beside >= STEADY * height) >= 2)
    return _Flash(stamps_ns=stamps_ns[near], rise=rise[near], height=height, steady=steady)


def _flash_edge(flash: _Flash, height: float) -> Edge | None:
    values = flash.rise / height
    # Half height, between frames: good to half a frame, enough to pair.
    first = int(np.argmax(values >= 0.5))
    if first == 0:
        return None
    time_ns = int(flash.stamps_ns[first - 1 : first + 1].mean())
    return Edge(time_ns=time_ns, stamps_ns=flash.stamps_ns, values=values)


def _clap_edge(
    stamps_ns: NDArray[np.int64], motion: NDArray[np.float64], at: int, period_s: float
) -> Edge | None:
    """The edge where motion drops from interval `at` to `at + 2`; None if it does not stop suddenly.

    An interval between frames has motion only if it begins before the hands meet; so the motion, by
    the stamp at which its interval begins, reaches the bottom when they meet.
    """
    if at < REACH or at + REACH >= len(motion):
        return None
    peak = at - 1 + int(np.argmax(motion[at - 1 : at + 2]))
    bottom = peak + 1 + int(np.argmin(motion[peak + 1 : at + 3]))
    height = motion[peak] - motion[bottom]
    if height < CLAP_STOP * motion[peak - 2 : peak + 1].max():
        return None
    if _stretched(stamps_ns[peak - 1 : bottom + 2], period_s):
        return None
    near = slice(peak - 1, bottom + 1)
    values = np.clip(1.0 - (motion[near] - motion[bottom]) / height, 0.0, 1.0)
    values[0] = 0.0  # still approaching, however fast: not yet an end
    return Edge(time_ns=int(stamps_ns[bottom]), stamps_ns=stamps_ns[near], values=values)


def _stretched(stamps_ns: NDArray[np.int64], period_s: float) -> bool:
    return bool(np.diff(stamps_ns).max() > MAX_STRETCH * period_s * NS_PER_S)
