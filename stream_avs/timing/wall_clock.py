"""Unix time of monotonic stamps, while the wall clock is slewed (NTP), set, or runs on in a sleep.

Stamps themselves are monotonic and never touched by any of this; only their Unix time follows.
"""

from __future__ import annotations

from collections.abc import Callable

from stream_avs.clock import MonotonicClock, monotonic_ns, unix_offset_ns
from stream_avs.ledger import Ledger
from stream_avs.types import NS_PER_MS, NS_PER_S, Event

STILL_NS = 1 * NS_PER_MS
"""Less is the noise of reading two clocks: the offset stays, so that equal stamps have equal Unix times."""

STEP_NS = 100 * NS_PER_MS
SLEW_PPM = 1000
"""Nothing slews a clock faster (adjtime: 500 ppm); what moved further than that and `STEP_NS` was set."""


class WallClock:
    """Unix time minus monotonic time, as of each call.

    Args:
        ledger: counts WALL_CLOCK when the clock was set.
        read: returns the offset now.
        clock: returns monotonic nanoseconds.
    """

    def __init__(
        self,
        ledger: Ledger,
        read: Callable[[], int] = unix_offset_ns,
        clock: MonotonicClock = monotonic_ns,
    ) -> None:
        self._ledger = ledger
        self._read = read
        self._clock = clock
        self._offset_ns = read()
        self._followed_ns = clock()

    def __call__(self) -> int:
        """Return the offset in nanoseconds."""
        change_ns = self._read() - self._offset_ns
        if abs(change_ns) <= STILL_NS:
            return self._offset_ns
        now_ns = self._clock()
        slewed_ns = (now_ns - self._followed_ns) * SLEW_PPM // 1_000_000
        if abs(change_ns) > STEP_NS + slewed_ns:
            text = f"the wall clock was set by {change_ns / NS_PER_S:+.1f} s, or the machine slept"
            self._ledger.record(Event.WALL_CLOCK, now_ns, text)
        self._offset_ns += change_ns
        self._followed_ns = now_ns
        return self._offset_ns
