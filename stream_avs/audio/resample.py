"""Bring live audio to the network's rate, with stamps that stay true.

A linear-phase polyphase filter in numpy. The streaming mode of libsoxr (python-soxr 1.1) filters in
Fourier blocks of its own choice: it was measured to hold back 3 to 20 ms at 44.1 or 48 kHz to 32 kHz
and up to 58 ms at 16 to 32 kHz (quality HQ), every one of which a mask would be older. Its
variable-rate mode holds back 5 to 15 ms, but is not linear-phase and never recovers from one NaN.
This filter holds back half its length, see `held_back_s`: 1.6 ms to 32 kHz, 3.1 ms to 16 kHz.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from math import ceil, gcd, pi

import numpy as np

from stream_avs.types import NS_PER_S, AudioBlock, Samples, StampSource

PASSBAND = 0.90
"""Flat up to this share of the lower of both Nyquist frequencies; beyond that frequency, silent."""
STOPBAND_DB = 80.0
"""What folds back is at least this much weaker: below the floor of log-mel features."""
JUMP_S = 0.020
"""A block stamped further than this from where the last one ended does not continue it."""
MAX_OUTPUTS = 4096
"""Outputs computed at once, to bound the memory of long blocks."""


class StreamResampler:
    """Mono, at `rate_out_hz`, block by block. Not thread-safe.

    The sample k put out since a start belongs to the input position k * rate_in / rate_out, whose
    time comes from the stamps of the blocks put in: the drift of the device's clock is carried over.

    Args:
        rate_out_hz: wanted rate.

    Raises:
        ValueError: the rate is not positive.
    """

    def __init__(self, rate_out_hz: int) -> None:
        if rate_out_hz <= 0:
            raise ValueError(f"rate_out_hz is {rate_out_hz}, expected a positive rate")
        self.rate_out_hz = rate_out_hz
        self._format: tuple[int, int] | None = None  # rate and channels of the input
        self._source = StampSource.ARRIVAL

    def push(self, block: AudioBlock) -> AudioBlock | None:
        """Put one block in and get what is ready, float32 [m, 1], or None if nothing is.

        Channels are averaged. A block of another rate or number of channels, or one whose stamp jumps
        by more than 20 ms, starts anew; what was held back of the audio before is lost then, so call
        `flush` first where the end is known. Samples that are not finite stay so, with their
        neighbours within the filter's length.

        Raises:
            ValueError: wrong dtype or shape.
        """
        samples, rate_hz = block.samples, block.sample_rate_hz
        if samples.dtype != np.float32 or samples.ndim != 2 or samples.shape[1] == 0 or rate_hz <= 0:
            raise ValueError(
                f"samples are {samples.dtype} {samples.shape} at {rate_hz} Hz, expected float32 [n, channels]"
            )
        if len(samples) == 0:
            return None
        self._source = block.stamp_source
        mono: Samples = samples.mean(axis=1, dtype=np.float32)
        if rate_hz == self.rate_out_hz:
            self._format = None
            return self._block(mono, block.stamp_ns)
        if self._format != (rate_hz, samples.shape[1]) or self._jumps(block.stamp_ns):
            self._start(rate_hz, samples.shape[1])
        self._anchor(block.stamp_ns)
        self._count += len(mono)
        return self._step(mono)

    def flush(self) -> AudioBlock | None:
        """End the audio put in so far: return what was held back, and start anew with the next block."""
        if self._format is None:
            return None
        block = self._step(np.zeros(self._half, np.float32))
        self._format = None
        return block

    @property
    def held_back_s(self) -> float:
        """How much of the audio put in has not come out yet; 0 where rates agree."""
        if self._format is None:
            return 0.0
        return self._count / self._format[0] - self._next / self.rate_out_hz

    def _start(self, rate_hz: int, channels: int) -> None:
        self._format = (rate_hz, channels)
        divisor = gcd(rate_hz, self.rate_out_hz)
        self._up, self._down = self.rate_out_hz // divisor, rate_hz // divisor
        self._bank = polyphase_bank(rate_hz, self.rate_out_hz)
        self._half = self._bank.shape[1] // 2
        self._kept: Samples = np.zeros(self._half - 1, np.float32)  # as if silence came before
        self._kept_from = 1 - self._half  # input index of the first sample kept
        self._count = 0  # input samples so far
        self._next = 0  # output samples so far
        self._indices: list[int] = []
        self._stamps_ns: list[int] = []

    def _jumps(self, stamp_ns: int) -> bool:
        return abs(stamp_ns - self._time_ns(self._count)) > JUMP_S * NS_PER_S

    def _anchor(self, stamp_ns: int) -> None:
        self._indices.append(self._count)
        self._stamps_ns.append(stamp_ns)
        # Outputs still to come begin at or after this anchor.
        passed = bisect_right(self._indices, self._next * self._down // self._up) - 1
        if passed > 0:
            del self._indices[:passed], self._stamps_ns[:passed]

    def _time_ns(self, position: float) -> int:
        assert self._format is not None
        k = max(bisect_right(self._indices, position) - 1, 0)
        return self._stamps_ns[k] + round((position - self._indices[k]) * NS_PER_S / self._format[0])

    def _step(self, mono: Samples) -> AudioBlock | None:
        """Filter as far as the input reaches. Output k is the sum of the taps around its position."""
        self._kept = np.concatenate((self._kept, mono))
        reach = self._kept_from + len(self._kept) - self._half  # last position floor that has all its taps
        end = -(-reach * self._up // self._down)
        if end <= self._next:
            return None
        stamp_ns = self._time_ns(self._next * self._down / self._up)
        parts = [self._filter(k, min(k + MAX_OUTPUTS, end)) for k in range(self._next, end, MAX_OUTPUTS)]
        self._next = end
        drop = end * self._down // self._up - self._half + 1 - self._kept_from
        self._kept = self._kept[drop:].copy()
        self._kept_from += drop
        return self._block(np.concatenate(parts), stamp_ns)

    def _filter(self, begin: int, end: int) -> Samples:
        base, phase = np.divmod(np.arange(begin, end, dtype=np.int64) * self._down, self._up)
        taps = np.lib.stride_tricks.sliding_window_view(self._kept, 2 * self._half)
        out: Samples = np.einsum("kt,kt->k", taps[base - self._half + 1 - self._kept_from], self._bank[phase])
        return out

    def _block(self, mono: Samples, stamp_ns: int) -> AudioBlock:
        return AudioBlock(
            samples=mono[:, None],
            stamp_ns=stamp_ns,
            sample_rate_hz=self.rate_out_hz,
            stamp_source=self._source,
        )


@lru_cache(maxsize=8)
def polyphase_bank(rate_in_hz: int, rate_out_hz: int) -> Samples:
    """Kaiser-windowed sinc, sampled once per output phase.

    Returns:
        float32 [L, taps], L = rate_out / gcd; row p weighs the input samples floor - taps/2 + 1 ...
        floor + taps/2 around a position floor + p / L, and sums to 1.
    """
    phases = rate_out_hz // gcd(rate_in_hz, rate_out_hz)
    nyquist_hz = min(rate_in_hz, rate_out_hz) / 2
    transition = 2 * pi * nyquist_hz * (1 - PASSBAND) / rate_in_hz  # radians per input sample
    half = ceil((STOPBAND_DB - 8) / (2.285 * transition) / 2)  # Kaiser's estimate of the length
    beta = 0.1102 * (STOPBAND_DB - 8.7)
    cutoff = nyquist_hz * (1 + PASSBAND) / 2 / (rate_in_hz / 2)
    away = np.arange(1 - half, half + 1)[None, :] - np.arange(phases)[:, None] / phases
    window = np.i0(beta * np.sqrt(np.clip(1 - (away / half) ** 2, 0, None)))
    bank = np.sinc(cutoff * away) * window
    bank /= bank.sum(axis=1, keepdims=True)
    return bank.astype(np.float32)
