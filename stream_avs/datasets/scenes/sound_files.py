"""Recorded sounds made ready for scenes: pauses shortened, loudness even, any length on demand."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream_avs.datasets.files import read_audio
from stream_avs.errors import DatasetError

SUFFIXES = frozenset({".wav", ".ogg", ".mp3", ".flac"})
MAX_PAUSE_S = 0.25
"""Longer pauses are cut to this, so that a sounding object is heard whenever it is labelled."""
PAUSE_DB = -35.0
"""Quieter than this, against the loud parts of the recording, is a pause."""
STEP_S = 0.02
JOIN_S = 0.01


def cut_sound(path: Path, samples: int, sample_rate_hz: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Take `samples` of a recording from a random place, repeated as often as needed; RMS 1.

    Raises:
        DatasetError: the file cannot be read or is silent throughout.
    """
    sound = dense_sound(path, sample_rate_hz)
    start = int(rng.integers(sound.size))
    cut = np.take(sound, np.arange(start, start + samples), mode="wrap").astype(np.float32)
    return cut / max(float(np.sqrt(np.mean(cut**2, dtype=np.float64))), 1e-3)


@functools.lru_cache(maxsize=1024)
def dense_sound(path: Path, sample_rate_hz: int) -> NDArray[np.float32]:
    """Read a recording without its pauses, float32 [n], RMS 1, faded where its end meets its start.

    Raises:
        DatasetError: see `cut_sound`.
    """
    samples = read_audio(path, sample_rate_hz)
    kept = without_pauses(samples, sample_rate_hz)
    rms = float(np.sqrt(np.mean(kept**2, dtype=np.float64))) if kept.size else 0.0
    if rms < 1e-4:
        raise DatasetError(f"{path} is silent", "Remove it from the sounds")
    fade = min(round(JOIN_S * sample_rate_hz), kept.size // 2)
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    dense = kept / np.float32(rms)
    dense[:fade] *= ramp
    dense[dense.size - fade :] *= ramp[::-1]
    dense.setflags(write=False)
    return dense


def without_pauses(samples: NDArray[np.float32], sample_rate_hz: int) -> NDArray[np.float32]:
    """Cut every pause to `MAX_PAUSE_S`, and remove those at both ends. Silence throughout gives []."""
    step = round(STEP_S * sample_rate_hz)
    count = samples.size // step
    blocks = samples[: count * step].reshape(count, step)
    level = np.sqrt(np.mean(blocks**2, axis=1, dtype=np.float64))
    loud = level > max(np.quantile(level, 0.95) * 10 ** (PAUSE_DB / 20), 1e-5) if count else level > 0
    if not loud.any():
        return np.empty(0, np.float32)
    first, last = np.flatnonzero(loud)[[0, -1]]
    since = np.arange(count) - np.maximum.accumulate(np.where(loud, np.arange(count), -count))
    keep = (since <= round(MAX_PAUSE_S / STEP_S)) & (np.arange(count) >= first) & (np.arange(count) <= last)
    return np.ascontiguousarray(blocks[keep].ravel())
