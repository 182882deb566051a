"""The microphone's side of the join: a preallocated ring of mono samples, keyed by capture time.

Sample i covers [t_i, t_i + 1/rate). Every block brings the time of its first sample; between these
anchors time runs at the nominal rate, so the drift of the device's clock is followed block by block.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stream_avs.ledger import Ledger
from stream_avs.types import NS_PER_MS, NS_PER_S, AudioBlock, Event, Samples

GAP_TOLERANCE_S = 0.010
"""Half a usual block of 20 ms, so the loss of one block is always seen; also the largest error of
sound against picture that we aim for (ITU-R BT.1359-1: 45 ms is the least that people notice)."""


@dataclass(slots=True)
class _Run:
    """Audio between two discontinuities: absolute sample indices and the times that anchor them."""

    epoch: int
    start: int
    indices: list[int] = field(default_factory=list)
    stamps_ns: list[int] = field(default_factory=list)

    def anchor(self, index: int, stamp_ns: int) -> None:
        # Tiny blocks can be stamped out of order within the tolerance: the map must stay monotone.
        if not self.stamps_ns or stamp_ns > self.stamps_ns[-1]:
            self.indices.append(index)
            self.stamps_ns.append(stamp_ns)

    def forget_before(self, index: int) -> None:
        passed = bisect_right(self.indices, index) - 1
        if passed > 0:
            del self.indices[:passed], self.stamps_ns[:passed]

    def time_ns(self, index: int, rate_hz: int) -> int:
        """Time at which the sample `index` begins, from the newest anchor."""
        return self.stamps_ns[-1] + round((index - self.indices[-1]) * NS_PER_S / rate_hz)

    def index_at(self, time_ns: int, rate_hz: int) -> int:
        """Index of the sample whose begin is nearest to `time_ns`."""
        k = max(bisect_right(self.stamps_ns, time_ns) - 1, 0)
        index = self.indices[k] + round((time_ns - self.stamps_ns[k]) * rate_hz / NS_PER_S)
        # A next anchor that came a little late must not be overtaken, or time would go back there.
        return min(index, self.indices[k + 1]) if k + 1 < len(self.indices) else index


class AudioRing:
    """Rolling buffer of mono audio. Thread-safe, for one writer and any readers.

    Args:
        sample_rate_hz: rate of everything in it.
        buffer_s: how much it can hold.
        ledger: counts gaps and overlaps.
        gap_tolerance_s: by how much a block may start early or late and still continue the last one.

    Raises:
        ValueError: a rate or length that is not positive.
    """

    def __init__(
        self,
        sample_rate_hz: int,
        buffer_s: float,
        ledger: Ledger,
        *,
        gap_tolerance_s: float = GAP_TOLERANCE_S,
    ) -> None:
        capacity = round(buffer_s * sample_rate_hz)
        if sample_rate_hz <= 0 or capacity <= 0:
            raise ValueError(f"{buffer_s} s at {sample_rate_hz} Hz, expected positive numbers")
        self.sample_rate_hz = sample_rate_hz
        self._capacity = capacity
        self._tolerance = gap_tolerance_s * sample_rate_hz
        self._ledger = ledger
        self._lock = threading.Lock()
        self._data: Samples = np.zeros(capacity, np.float32)
        self._captured: NDArray[np.bool_] = np.zeros(capacity, np.bool_)
        self._head = 0  # absolute index of the next sample
        self._runs = [_Run(epoch=0, start=0)]
        self._closed = False

    def push(self, block: AudioBlock) -> None:
        """Store a block; channels are averaged. Opens a closed ring again.

        A block later than expected by more than the tolerance leaves a gap of zeros, marked missing;
        of one earlier than that, what is already stored is skipped. A jump longer than the ring
        empties it. NaN and infinite samples become missing ones.

        Raises:
            ValueError: wrong rate, dtype or shape.
        """
        samples = block.samples
        if block.sample_rate_hz != self.sample_rate_hz:
            raise ValueError(f"block is at {block.sample_rate_hz} Hz, expected {self.sample_rate_hz} Hz")
        if samples.dtype != np.float32 or samples.ndim != 2 or samples.shape[1] == 0:
            raise ValueError(f"samples are {samples.dtype} {samples.shape}, expected float32 [n, channels]")
        if len(samples) == 0:
            return
        with np.errstate(invalid="ignore", over="ignore"):
            mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)
        captured = np.isfinite(mono)
        if not captured.all():
            self._ledger.record(Event.AUDIO_GAP, block.stamp_ns, "not finite")
            mono = np.where(captured, mono, np.float32(0))
        with self._lock:
            self._closed = False
            skip = self._align(block.stamp_ns)
            if skip < len(mono):
                stamp_ns = block.stamp_ns + round(skip * NS_PER_S / self.sample_rate_hz)
                self._runs[-1].anchor(self._head, stamp_ns)
                self._write(mono[skip:], captured[skip:])

    def break_here(self) -> None:
        """Begin anew: later blocks do not continue what came before, and their stamps may go back.

        Audio from before stays readable for the frames of its epoch until it is overwritten.
        """
        with self._lock:
            last = self._runs[-1]
            if not last.indices:  # nothing came since the last break: leave no empty run behind
                self._runs.pop()
            self._runs.append(_Run(epoch=last.epoch + 1, start=self._head))

    def close(self) -> None:
        """Say that the track has ended: nobody need wait for more."""
        with self._lock:
            self._closed = True

    @property
    def closed(self) -> bool:
        """True after `close`, until a block comes all the same."""
        with self._lock:
            return self._closed

    @property
    def newest_end_ns(self) -> int | None:
        """Time at which the newest sample ends; None if there is none since the last break."""
        with self._lock:
            run = self._runs[-1]
            return run.time_ns(self._head, self.sample_rate_hz) if run.indices else None

    def complete(self, end_ns: int, epoch: int | None = None) -> bool:
        """True if no more audio will come for a row that ends at `end_ns`."""
        with self._lock:
            run = self._runs[-1]
            if self._closed or (epoch is not None and epoch < run.epoch):
                return True
            if epoch is not None and epoch > run.epoch:
                return False
            return bool(run.indices) and run.index_at(end_ns, self.sample_rate_hz) <= self._head

    def read(self, end_ns: int, n: int, epoch: int | None = None) -> tuple[Samples, float]:
        """Read the `n` samples that end at `end_ns`; see `read_rows`.

        Returns:
            float32 [n] and the share of it that was captured, 0..1.
        """
        rows, coverage = self.read_rows((end_ns,), n, epoch)
        return rows[0], float(coverage[0])

    def read_rows(
        self, ends_ns: Sequence[int], n: int, epoch: int | None = None
    ) -> tuple[Samples, NDArray[np.float32]]:
        """Read, for each end, the last `n` samples i with t_i + 1/rate <= end, to the nearest sample.

        Args:
            ends_ns: R times.
            n: samples per row.
            epoch: how many breaks came before; None for the newest audio.

        Returns:
            float32 [R, n], zero where samples are missing, overwritten, not there yet or from
            another epoch; and float32 [R], the share of each row that was captured.
        """
        rows = np.zeros((len(ends_ns), n), np.float32)
        coverage = np.zeros(len(ends_ns), np.float32)
        with self._lock:
            high = self._head
            for run in reversed(self._runs):
                if epoch is None or run.epoch == epoch:
                    break
                high = run.start
            else:
                return rows, coverage
            if not run.indices:
                return rows, coverage
            low = max(run.start, self._head - self._capacity)
            for row, end_ns in enumerate(ends_ns):
                end = run.index_at(end_ns, self.sample_rate_hz)
                coverage[row] = self._copy_to(rows[row], end - n, low, high) / max(n, 1)
        return rows, coverage

    def spare_s(self, begin_ns: int, epoch: int) -> float:
        """Seconds of audio that fit before the sample at `begin_ns` is overwritten, or, if the epoch
        has none, into the whole ring."""
        with self._lock:
            run = next((run for run in self._runs if run.epoch == epoch and run.indices), None)
            if run is None:
                return self._capacity / self.sample_rate_hz
            begin = max(run.index_at(begin_ns, self.sample_rate_hz), run.start)
            return (begin + self._capacity - self._head) / self.sample_rate_hz

    def _align(self, stamp_ns: int) -> int:
        """Fill the gap before a block, and return how many of its samples are already stored."""
        run = self._runs[-1]
        if not run.indices:
            return 0
        ahead_ns = stamp_ns - run.time_ns(self._head, self.sample_rate_hz)
        ahead = round(ahead_ns * self.sample_rate_hz / NS_PER_S)
        ms = f"{ahead_ns / NS_PER_MS:+.1f} ms"
        if abs(ahead) > self._capacity:
            self._ledger.record(Event.AUDIO_GAP, stamp_ns, f"jump of {ms}, started over")
            self._runs[-1] = _Run(epoch=run.epoch, start=self._head)
        elif ahead > self._tolerance:
            self._ledger.record(Event.AUDIO_GAP, stamp_ns, ms)
            self._write(np.zeros(ahead, np.float32), np.zeros(ahead, np.bool_))
        elif ahead < -self._tolerance:
            self._ledger.record(Event.AUDIO_OVERLAP, stamp_ns, ms)
            return -ahead
        return 0

    def _write(self, mono: Samples, captured: NDArray[np.bool_]) -> None:
        self._head += max(len(mono) - self._capacity, 0)
        mono, captured = mono[-self._capacity :], captured[-self._capacity :]
        first = self._head % self._capacity
        fits = min(len(mono), self._capacity - first)
        for ring, new in ((self._data, mono), (self._captured, captured)):
            ring[first : first + fits] = new[:fits]
            ring[: len(new) - fits] = new[fits:]
        self._head += len(mono)
        oldest = self._head - self._capacity
        while len(self._runs) > 1 and self._runs[1].start <= oldest:
            del self._runs[0]
        for run in self._runs:
            run.forget_before(oldest)

    def _copy_to(self, row: Samples, start: int, low: int, high: int) -> int:
        """Copy samples [start, start + n) that lie in [low, high); return how many were captured."""
        begin, end = max(start, low), min(start + len(row), high)
        got = 0
        while begin < end:
            at = begin % self._capacity
            count = min(end - begin, self._capacity - at)
            row[begin - start : begin - start + count] = self._data[at : at + count]
            got += int(np.count_nonzero(self._captured[at : at + count]))
            begin += count
        return got
