"""VGGish log-mel: mono 16 kHz samples to examples of 96 frames x 64 bands.

Frames of 25 ms every 10 ms without padding, periodic Hann, 512-point magnitude spectrum, 64 HTK mel
bands from 125 to 7500 Hz, ln(mel + 0.01). Example k covers 0.96 k to 0.96 k + 0.975 seconds.

Sound at a multiple of 16 kHz needs no resampling: windows and spectra of as many times more points
have their bins at the same frequencies, up to the 7500 Hz that are looked at. No filter means no
samples held back, and none bent at the ends of a clip.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stream_avs.audio.mel import MelBank, mel_filters
from stream_avs.audio.rolling import RollingSpectrogram

SAMPLE_RATE_HZ = 16_000
WINDOW = 400
HOP = 160
FFT = 512
BANDS = 64
EXAMPLE_FRAMES = 96
LOG_OFFSET = 0.01

_FILTERS = mel_filters(
    bands=BANDS, low_hz=125.0, high_hz=7500.0, bins_hz=np.arange(FFT // 2 + 1) * SAMPLE_RATE_HZ / FFT
)
_FILTERS[:, 0] = 0.0
_BANK = MelBank(_FILTERS)


def log_mel(samples: ArrayLike, sample_rate_hz: int = SAMPLE_RATE_HZ) -> NDArray[np.float32]:
    """Return the log-mel frames of a whole clip.

    Args:
        samples: mono [n] in [-1, 1].
        sample_rate_hz: 16 kHz or a whole multiple.

    Returns:
        float32 [1 + (n - 400) // 160, 64] at 16 kHz; no frames when n < 400. At another rate as many
        for as many seconds.

    Raises:
        ValueError: another rate.
    """
    finer, rest = divmod(sample_rate_hz, SAMPLE_RATE_HZ)
    if rest or finer < 1:
        raise ValueError(f"sample_rate_hz is {sample_rate_hz}, expected a multiple of {SAMPLE_RATE_HZ}")
    clip = np.asarray(samples, np.float32).astype(np.float64)
    window = WINDOW * finer
    if len(clip) < window:
        return np.zeros((0, BANDS), np.float32)
    return _rows(np.lib.stride_tricks.sliding_window_view(clip, window)[:: HOP * finer], finer)


def examples(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut log-mel frames [n, 64] into examples, float32 [n // 96, 96, 64]; what is left over is dropped."""
    count = len(frames) // EXAMPLE_FRAMES
    return frames[: count * EXAMPLE_FRAMES].reshape(count, EXAMPLE_FRAMES, BANDS)


class VggishMelStream:
    """The same frames, computed once each while samples arrive.

    Args:
        capacity_s: seconds of frames kept at least.
    """

    def __init__(self, capacity_s: float = 10.0) -> None:
        self._rolling = RollingSpectrogram(
            hop=HOP,
            lead=0,
            span=WINDOW,
            bands=BANDS,
            transform=_rows,
            capacity_samples=round(capacity_s * SAMPLE_RATE_HZ),
        )

    @property
    def held(self) -> range:
        """Running numbers of the frames that can be read; frame t starts at sample 160 t."""
        return range(self._rolling.rows.start, self._rolling.rows.stop)

    def push(self, samples: ArrayLike) -> int:
        """Add mono samples, [n] in [-1, 1]; returns how many frames became complete."""
        return self._rolling.push(samples)

    def frames(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return frames `start` to `stop` (not included), float32 [stop - start, 64].

        Raises:
            IndexError: some of them are not held.
        """
        return self._rolling.rows.read(start, stop)


def _rows(frames: NDArray[np.float64], finer: int = 1) -> NDArray[np.float32]:
    """Turn windows of samples, float64 [k, 400 finer], into rows, float32 [k, 64]."""
    spectrum = np.fft.rfft(frames * _hann(WINDOW * finer), FFT * finer)[:, : FFT // 2 + 1]
    magnitude = np.abs(spectrum) / finer  # as many times more samples were added up
    return np.log(_BANK(magnitude) + LOG_OFFSET).astype(np.float32)


@functools.cache
def _hann(length: int) -> NDArray[np.float64]:
    """Periodic Hann window."""
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(length) / length)
