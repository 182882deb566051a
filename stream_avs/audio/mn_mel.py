"""EfficientAT log-mel: mono 32 kHz samples to 128 bands x frames.

Pre-emphasis 0.97, frames of 25 ms every 10 ms centred on multiples of 320 samples with reflected
edges, symmetric Hann, 1024-point power spectrum, 128 Kaldi mel bands from 0 to 15 000 Hz,
(ln(mel + 1e-5) + 4.5) / 5. The upper edge is the one EfficientAT evaluates with; 16 000 Hz is not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stream_avs.audio.mel import MelBank, mel_filters
from stream_avs.audio.rolling import RollingSpectrogram

SAMPLE_RATE_HZ = 32_000
WINDOW = 800
HOP = 320
FFT = 1024
BANDS = 128
PRE_EMPHASIS = 0.97
LOG_OFFSET = 1e-5
MIN_SAMPLES = 514
"""Shortest clip: below, its edges cannot be reflected by half an FFT."""
SILENCE = float((np.log(LOG_OFFSET) + 4.5) / 5.0)
"""Value of every cell of digital silence."""

_HALF = WINDOW // 2
_LEADING_EDGE = -(-_HALF // HOP)  # frames 0 and 1 reach before the first sample
# The 800 window samples stand in the middle of a 1024-point frame. Where they stand changes the
# phase of the spectrum only, so the power is that of the 800 samples followed by zeros.
_HANN = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(WINDOW) / (WINDOW - 1))
FILTERS = mel_filters(
    bands=BANDS, low_hz=0.0, high_hz=15_000.0, bins_hz=np.arange(FFT // 2 + 1) * SAMPLE_RATE_HZ / FFT
)
"""Mel matrix, float64 [128, 513]."""
FILTERS[:, FFT // 2] = 0.0
_BANK = MelBank(FILTERS)


def frame_count(samples: int) -> int:
    """How many frames a clip of so many samples has."""
    return 1 + (samples - 1) // HOP


def log_mel(samples: ArrayLike) -> NDArray[np.float32]:
    """Return the scaled log-mel of a whole clip.

    Args:
        samples: mono [n] in [-1, 1] at 32 kHz, n >= 514.

    Returns:
        float32 [128, 1 + (n - 1) // 320], lowest band first.

    Raises:
        ValueError: the clip is too short.
    """
    clip = np.asarray(samples, np.float32).astype(np.float64)
    if len(clip) < MIN_SAMPLES:
        raise ValueError(f"clip has {len(clip)} samples, at least {MIN_SAMPLES} are needed")
    padded = np.pad(_emphasise(clip), _HALF, mode="reflect")
    return _rows(np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]).T


class MnMelStream:
    """The same frames, computed once each while samples arrive; `cut` equals `log_mel` of a piece.

    Args:
        capacity_s: longest piece that can be cut, seconds.
    """

    def __init__(self, capacity_s: float = 10.0) -> None:
        self._rolling = RollingSpectrogram(
            hop=HOP,
            lead=-_HALF,
            span=WINDOW + 1,  # pre-emphasis needs one sample more
            bands=BANDS,
            transform=_emphasised_rows,
            capacity_samples=round(capacity_s * SAMPLE_RATE_HZ) + HOP,
        )

    @property
    def samples(self) -> range:
        """Running numbers of the samples held; `cut` works inside this range."""
        return range(self._rolling.samples.start, self._rolling.samples.stop)

    def push(self, samples: ArrayLike) -> int:
        """Add mono samples, [n] in [-1, 1]; returns how many frames became complete."""
        return self._rolling.push(samples)

    def cut(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return `log_mel` of samples `start` to `stop` (not included).

        Only the frames that touch reflected samples, two in front and one or two behind, are
        computed; all others were when their samples came.

        Args:
            start: running number of the first sample, a multiple of 320.
            stop: running number after the last sample, at least `start + 514`.

        Returns:
            float32 [128, 1 + (stop - start - 1) // 320].

        Raises:
            ValueError: `start` is off the grid, or the piece too short.
            IndexError: some of the samples are not held.
        """
        count = stop - start
        if start % HOP:
            raise ValueError(f"start is sample {start}, not a multiple of {HOP}")
        if count < MIN_SAMPLES:
            raise ValueError(f"piece has {count} samples, at least {MIN_SAMPLES} are needed")
        held = self._rolling.samples.read(start, stop)[:, 0]
        total = frame_count(count)
        inside = max(_LEADING_EDGE, (count - 1 - _HALF) // HOP + 1)
        if inside == _LEADING_EDGE or total < 2 * _LEADING_EDGE + 2:
            return log_mel(held)
        head = _rows(self._edge(held[: MIN_SAMPLES + _HALF], range(_LEADING_EDGE), 0))
        tail_start = HOP * max(0, inside - 4)
        tail = _rows(self._edge(held[tail_start:], range(inside, total), tail_start))
        first = start // HOP
        middle = self._rolling.rows.read(first + _LEADING_EDGE, first + inside)
        return np.concatenate([head, middle, tail]).T

    @staticmethod
    def _edge(samples: NDArray[np.float32], frames: range, origin: int) -> NDArray[np.float64]:
        """Return the emphasised samples of some frames near an end, float64 [k, 800]."""
        padded = np.pad(_emphasise(samples.astype(np.float64)), _HALF, mode="reflect")
        return np.stack([padded[HOP * t - origin : HOP * t - origin + WINDOW] for t in frames])


def _emphasise(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    return samples[..., 1:] - PRE_EMPHASIS * samples[..., :-1]


def _emphasised_rows(frames: NDArray[np.float64]) -> NDArray[np.float32]:
    return _rows(_emphasise(frames))


def _rows(frames: NDArray[np.float64]) -> NDArray[np.float32]:
    """Turn emphasised samples, float64 [k, 800], into rows, float32 [k, 128]."""
    spectrum = np.fft.rfft(frames * _HANN, FFT)
    power = spectrum.real**2 + spectrum.imag**2
    return ((np.log(_BANK(power) + LOG_OFFSET) + 4.5) / 5.0).astype(np.float32)
