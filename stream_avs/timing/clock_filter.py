"""Time of a running index (samples, presentation ticks) from noisy readings of when they happened.

Samples, not arrivals, are the clock: blocks of 20 ms come in pairs or bursts, and a sound server's
capture times were seen to be wrong by 0.6 s for its first seconds, then right to 0.03 ms. So a line
is fitted through many readings, readings off the line are not believed, and if they keep agreeing
with one another against the line, the line is given up.
"""

from __future__ import annotations

import enum
import math
from collections import deque
from statistics import median

import numpy as np

from stream_avs.ledger import Ledger
from stream_avs.types import NS_PER_MS, NS_PER_S, Event

BIN_S = 0.5
MIN_BINS = 4
MIN_SUSPECTS = 5
NS_PER_S_PER_PPM = 1000.0
EXPECTED_DRIFT_PPM = 100.0
"""Sound cards lie within this of their nominal rate; a drift seen over a short time is shrunk to it."""
MAX_DRIFT_PPM = 1000.0
SLEW_S = 2.0
"""Time in which a small correction of the output is spread."""
MAX_SLEW_NS_PER_S = 5 * NS_PER_MS


class Noise(enum.Enum):
    """How a reading differs from the truth."""

    SYMMETRIC = "symmetric"  # either way: capture times of a driver
    DELAY = "delay"  # never early: arrival times


class ClockFilter:
    """Robust line from index to monotonic time. Not thread-safe.

    Args:
        rate_hz: nominal ticks per second, at most 1e8.
        ledger: counts CLOCK_OUTLIER and CLOCK_SNAP.
        noise: how readings err. With `DELAY` the line runs along the earliest readings, and late
            ones are no outliers.
        window_s: how far back readings count.
        warmup_s: until so much was read, the nominal rate is used.
        outlier_s: a reading further off than this, and than 6 times the usual spread, is not believed.
        snap_s: an error of the output larger than this is not slewed but jumped over.
        snap_after_s: readings that disagree with the line for so long, and with nothing between
            that agrees, make it start over. A tenth of it during the warm-up of symmetric readings.

    Raises:
        ValueError: `rate_hz` is out of range.
    """

    def __init__(
        self,
        rate_hz: float,
        *,
        ledger: Ledger,
        noise: Noise = Noise.SYMMETRIC,
        window_s: float = 30.0,
        warmup_s: float = 2.0,
        outlier_s: float = 0.005,
        snap_s: float = 0.050,
        snap_after_s: float = 1.0,
    ) -> None:
        if not 0 < rate_hz <= 1e8:
            raise ValueError(f"rate_hz is {rate_hz}, expected a rate in (0, 1e8]")
        self._rate_hz = rate_hz
        self._ledger = ledger
        self._noise = noise
        self._warmup_s = warmup_s
        self._outlier_ns = outlier_s * NS_PER_S
        self._snap_ns = snap_s * NS_PER_S
        self._snap_after_s = snap_after_s
        self._bins: deque[tuple[float, float, float]] = deque(maxlen=max(round(window_s / BIN_S), MIN_BINS))
        self._output: _Output | None = None
        self._suspects: list[tuple[int, int]] = []
        self.snaps = 0
        """How often the output has jumped."""

    def update(self, index: int, reading_ns: int) -> None:
        """Take one reading: tick `index` happened at about `reading_ns`."""
        if self._output is None:
            self._start(index, reading_ns)
            self._output = _Output(index, reading_ns, self._period_ns)
            return
        error_ns = reading_ns - self._line_ns(index)
        if self._believable(error_ns):
            self._suspects.clear()
            self._accept(index, reading_ns)
            self._steer(index)
            return
        if self._noise is Noise.SYMMETRIC or error_ns < 0:
            self._ledger.record(Event.CLOCK_OUTLIER, reading_ns, f"{error_ns / NS_PER_MS:+.1f} ms")
        if self._disagreement_persists(index, reading_ns):
            self._start_over(index)

    def stamp_ns(self, index: int) -> int:
        """Time of tick `index`; grows strictly with the index, except where `snaps` counts up.

        Raises:
            LookupError: there is no reading yet.
        """
        if self._output is None:
            raise LookupError("the clock has not been read yet")
        return self._output.at(index)

    @property
    def ready(self) -> bool:
        """True once the warm-up is over."""
        return len(self._bins) >= MIN_BINS and self._bins[-1][0] - self._bins[0][0] >= self._warmup_s - BIN_S

    @property
    def drift_ppm(self) -> float:
        """By how much the ticks come faster than nominal; 0 during the warm-up."""
        return 0.0 - self._slope / NS_PER_S_PER_PPM

    def _start(self, index: int, reading_ns: int) -> None:
        # Everything below is the residual against the nominal rate from this first reading on:
        # x in seconds, residuals in ns, slopes in ns per second.
        self._origin = (index, reading_ns)
        self._bins.clear()
        self._bin: list[tuple[float, float]] = [(0.0, 0.0)]
        self._offset = self._slope = self._spread = 0.0
        self._suspects = []

    def _x(self, index: int) -> float:
        return (index - self._origin[0]) / self._rate_hz

    def _nominal_ns(self, index: int) -> int:
        return self._origin[1] + round(self._x(index) * NS_PER_S)

    def _line_ns(self, index: int) -> int:
        return self._nominal_ns(index) + round(self._offset + self._slope * self._x(index))

    def _believable(self, error_ns: float) -> bool:
        if self._noise is Noise.SYMMETRIC:
            return abs(error_ns) <= self._gate_ns
        # An early arrival is proof while the line is young; a late one proves nothing.
        return (error_ns >= -self._gate_ns or not self.ready) and error_ns <= self._snap_ns

    @property
    def _gate_ns(self) -> float:
        return max(self._outlier_ns, 6 * self._spread) if self.ready else self._snap_ns

    def _accept(self, index: int, reading_ns: int) -> None:
        x, residual = self._x(index), float(reading_ns - self._nominal_ns(index))
        if x >= self._bin[0][0] + BIN_S:
            self._bins.append(self._summary())
            self._bin = []
            if self.ready:
                self._fit()
        self._bin.append((x, residual))
        if not self.ready:
            representatives = [r for _, r, _ in self._bins] + [self._summary()[1]]
            delay = self._noise is Noise.DELAY
            self._offset = min(representatives) if delay else median(representatives)

    def _summary(self) -> tuple[float, float, float]:
        """(x, residual, spread) of the current bin: its earliest reading, or its median."""
        middle = median(r for _, r in self._bin)
        spread = 1.48 * median(abs(r - middle) for _, r in self._bin)
        if self._noise is Noise.DELAY:
            x, r = min(self._bin, key=lambda reading: reading[1])
            return x, r, spread
        return median(x for x, _ in self._bin), middle, spread

    def _fit(self) -> None:
        """Theil-Sen line through the bins, its slope shrunk to zero while it is uncertain."""
        x, r, spread = np.array(self._bins).T
        i, j = np.triu_indices(len(x), k=1)
        apart = x[j] > x[i]  # readings out of order can leave two bins at one tick
        slope = float(np.median((r[j] - r[i])[apart] / (x[j] - x[i])[apart]))
        off_line = r - slope * x
        self._spread = float(np.median(spread))
        noise = 1.48 * float(np.median(np.abs(off_line - np.median(off_line))))
        noise = max(noise, self._spread / len(x))  # few bins may lie on a line by chance
        span = float(x[-1] - x[0])
        expected = EXPECTED_DRIFT_PPM * NS_PER_S_PER_PPM
        variance = 12 * noise**2 / (len(x) * span**2)
        slope *= expected**2 / (expected**2 + variance)
        limit = MAX_DRIFT_PPM * NS_PER_S_PER_PPM
        self._slope = min(max(slope, -limit), limit)
        rest = r - self._slope * x
        self._offset = float(rest.min() if self._noise is Noise.DELAY else np.median(rest))

    def _steer(self, index: int) -> None:
        assert self._output is not None
        begin = max(index, self._output.furthest)
        error_ns = self._line_ns(begin) - self._output.at(begin)
        if abs(error_ns) > self._snap_ns:
            self._jump(begin, error_ns)
            return
        slew_s = max(SLEW_S, abs(error_ns) / MAX_SLEW_NS_PER_S)
        meet = begin + math.ceil(slew_s * self._rate_hz)
        now_ns, then_ns = self._output.at(begin), self._line_ns(meet)
        self._output.lead(begin, now_ns, (then_ns - now_ns) / (meet - begin), meet, then_ns, self._period_ns)

    def _jump(self, index: int, error_ns: float) -> None:
        self._output = _Output(index, self._line_ns(index), self._period_ns)
        self.snaps += 1
        self._ledger.record(Event.CLOCK_SNAP, self._line_ns(index), f"{error_ns / NS_PER_MS:+.1f} ms")

    @property
    def _period_ns(self) -> float:
        return (NS_PER_S + self._slope) / self._rate_hz

    def _disagreement_persists(self, index: int, reading_ns: int) -> bool:
        """Remember a reading off the line; True if all lately were off by about as much."""
        first = self._suspects[0] if self._suspects else (index, reading_ns)
        if (first[1] > self._line_ns(first[0])) != (reading_ns > self._line_ns(index)):
            self._suspects = []
        self._suspects.append((index, reading_ns))
        first = self._suspects[0]
        # A backlog delivered at once spans much audio but little time: both must be long enough.
        span_s = min(self._x(index) - self._x(first[0]), (reading_ns - first[1]) / NS_PER_S)
        if span_s < self._patience_s or len(self._suspects) < MIN_SUSPECTS:
            return False
        errors_ns = [t - self._line_ns(i) for i, t in self._suspects]
        middle = median(errors_ns)
        spread = 1.48 * median(abs(e - middle) for e in errors_ns)
        if self._noise is Noise.SYMMETRIC and spread > self._gate_ns:
            del self._suspects[: len(self._suspects) // 2]
            return False
        return True

    @property
    def _patience_s(self) -> float:
        # The very first reading may be the one that is wrong: that should not cost a second.
        young = not self.ready and self._noise is Noise.SYMMETRIC
        return self._snap_after_s / 10 if young else self._snap_after_s

    def _start_over(self, index: int) -> None:
        assert self._output is not None
        before_ns = self._output.at(index)
        first, *rest = self._suspects
        self._start(*first)
        for reading in rest:
            self._accept(*reading)
        self._jump(index, self._line_ns(index) - before_ns)


class _Output:
    """What is handed out: a slewing line up to where it meets the fitted one, then the fitted one."""

    def __init__(self, index: int, time_ns: int, period_ns: float) -> None:
        self.furthest = index
        self.lead(index, time_ns, period_ns, index, time_ns, period_ns)

    def lead(
        self, begin: int, begin_ns: int, slew_period_ns: float, meet: int, meet_ns: int, period_ns: float
    ) -> None:
        """Go from `begin` to `meet` at one pace and on from there at another, in ns per tick."""
        self._begin, self._begin_ns, self._slew_period_ns = begin, begin_ns, slew_period_ns
        self._meet, self._meet_ns, self._period_ns = meet, meet_ns, period_ns

    def at(self, index: int) -> int:
        """Time of tick `index`."""
        # Pieces must not change under a time already handed out, or the next could step back.
        self.furthest = max(self.furthest, index)
        if index < self._meet:
            return self._begin_ns + round((index - self._begin) * self._slew_period_ns)
        return self._meet_ns + round((index - self._meet) * self._period_ns)
