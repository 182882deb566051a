"""Hands samples from an audio callback to a thread without allocating, locking or blocking."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stream_avs.types import Samples


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Captured:
    """One block as the callback got it.

    Attributes:
        samples: float32 [n, channels].
        adc_s: when its first sample was taken, on the stream's own clock; 0 where unknown.
        stream_s: the stream's clock when the callback was called.
        called_ns: the monotonic clock right after that.
        overflowed: the driver says that samples before this block were lost.
        lost: samples before this block that were lost because the queue was full.
    """

    samples: Samples
    adc_s: float
    stream_s: float
    called_ns: int
    overflowed: bool
    lost: int


class SampleQueue:
    """Preallocated queue for exactly one producer and one consumer.

    The producer only ever moves `_written`, the consumer only `_read`; each reads the other's. Storing
    an int in an attribute is atomic in Python, so no lock is needed.

    Args:
        slots: how many blocks it holds.
        frames: the most samples per channel of one block.
        channels: of every block.
    """

    def __init__(self, slots: int, frames: int, channels: int) -> None:
        self._slots = slots
        self._samples = np.zeros((slots, frames, channels), np.float32)
        self._counts = np.zeros(slots, np.int64)
        self._times_s = np.zeros((slots, 2), np.float64)
        self._called_ns = np.zeros(slots, np.int64)
        self._overflowed = np.zeros(slots, np.bool_)
        self._lost = np.zeros(slots, np.int64)
        self._lost_now = 0
        self._written = 0
        self._read = 0

    def push(self, samples: Samples, adc_s: float, stream_s: float, called_ns: int, overflowed: bool) -> None:
        """Copy a block in; a full queue loses it, and the next block says how much was lost."""
        count = len(samples)
        if self._written - self._read >= self._slots or count > self._samples.shape[1]:
            self._lost_now += count
            return
        slot = self._written % self._slots
        self._samples[slot, :count] = samples
        self._counts[slot] = count
        self._times_s[slot, 0] = adc_s
        self._times_s[slot, 1] = stream_s
        self._called_ns[slot] = called_ns
        self._overflowed[slot] = overflowed
        self._lost[slot] = self._lost_now
        self._lost_now = 0
        self._written += 1

    def pop(self) -> Captured | None:
        """Take the oldest block, copied; None when empty."""
        if self._read == self._written:
            return None
        slot = self._read % self._slots
        captured = Captured(
            samples=self._samples[slot, : self._counts[slot]].copy(),
            adc_s=float(self._times_s[slot, 0]),
            stream_s=float(self._times_s[slot, 1]),
            called_ns=int(self._called_ns[slot]),
            overflowed=bool(self._overflowed[slot]),
            lost=int(self._lost[slot]),
        )
        self._read += 1
        return captured
