"""Frames of a spectrogram kept on the sample grid while samples arrive in chunks of any length."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

FramesToRows = Callable[[NDArray[np.float64]], NDArray[np.float32]]
"""Turns frames of samples, float64 [k, span], into rows, float32 [k, bands]."""


class Rolling:
    """The last `capacity` rows of an array that grows at its end, addressed by running number.

    Args:
        capacity: rows kept at least.
        width: elements of one row.
    """

    def __init__(self, capacity: int, width: int) -> None:
        self._capacity = capacity
        self._store = np.zeros((2 * capacity, width), np.float32)
        self._used = 0
        self.stop = 0
        """Running number after the last row."""

    @property
    def start(self) -> int:
        """Running number of the oldest row held."""
        return max(self.stop - self._capacity, self.stop - self._used)

    def skip_to(self, number: int) -> None:
        """Forget everything; the next row gets running number `number`."""
        self._used, self.stop = 0, number

    def append(self, rows: NDArray[np.float32]) -> None:
        """Add rows, float32 [k, width]."""
        kept = rows[-self._capacity :]
        if self._used + len(kept) > len(self._store):
            keep = min(self._used, self._capacity)
            self._store[:keep] = self._store[self._used - keep : self._used].copy()
            self._used = keep
        self._store[self._used : self._used + len(kept)] = kept
        self._used += len(kept)
        self.stop += len(rows)

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return rows `start` to `stop` (not included), float32 [stop - start, width], a copy.

        Raises:
            IndexError: some of them are not held.
        """
        if not self.start <= start <= stop <= self.stop:
            raise IndexError(f"rows {start}..{stop} asked, {self.start}..{self.stop} held")
        offset = self._used - self.stop
        return self._store[start + offset : stop + offset].copy()


class RollingSpectrogram:
    """Computes each frame once, as soon as its last sample is there.

    Frame t covers samples hop * t + lead .. hop * t + lead + span - 1 of everything pushed so far.
    Frames that would need samples before the first one do not exist.

    Args:
        hop: samples from frame to frame.
        lead: first sample of frame 0, relative to sample 0; zero or negative.
        span: samples of one frame.
        bands: values of one row.
        transform: turns frames into rows.
        capacity_samples: samples, and the frames over them, kept at least.
    """

    def __init__(
        self, *, hop: int, lead: int, span: int, bands: int, transform: FramesToRows, capacity_samples: int
    ) -> None:
        self._hop, self._lead, self._span = hop, lead, span
        self._transform = transform
        self._chunk = 64 * hop  # bounds the memory of one transform
        self.samples = Rolling(max(capacity_samples, self._chunk) + span + hop, 1)
        self.rows = Rolling(capacity_samples // hop + 4, bands)
        self.rows.skip_to(-(lead // hop))

    def push(self, samples: ArrayLike) -> int:
        """Add mono samples, [n] in [-1, 1]; returns how many rows became complete."""
        block = np.asarray(samples, np.float32).reshape(-1, 1)
        done = 0
        for begin in range(0, len(block), self._chunk):
            self.samples.append(block[begin : begin + self._chunk])
            done += self._catch_up()
        return done

    def _catch_up(self) -> int:
        first = self.rows.stop
        last = (self.samples.stop - self._span - self._lead) // self._hop
        if last < first:
            return 0
        start = self._hop * first + self._lead
        held = self.samples.read(start, self._hop * last + self._lead + self._span)[:, 0]
        frames = np.lib.stride_tricks.sliding_window_view(held.astype(np.float64), self._span)
        self.rows.append(self._transform(frames[:: self._hop]))
        return last - first + 1
