"""Map a clock that is not ours (a driver's stream time, the wall clock) onto the monotonic clock.

PortAudio counts its stream time on CLOCK_REALTIME, CLOCK_MONOTONIC or mach time, depending on host
and version, and the wall clock can be set at any moment: so the offset is measured, never assumed.
"""

from __future__ import annotations

from collections import deque

from stream_avs.ledger import Ledger
from stream_avs.types import NS_PER_MS, NS_PER_S, Event

SNAP_READINGS = 3
"""So many late readings in a row are a step of the clock; fewer are a busy machine."""


class ForeignClock:
    """Offset between two clocks, from readings of both taken one right after the other.

    The foreign clock is read first. Whatever delays the second reading makes `monotonic - foreign`
    too large and never too small, so the minimum over a sliding window is the offset. Not thread-safe.

    Args:
        ledger: counts CLOCK_SNAP.
        window_s: how far back readings count. The offset follows the drift of the foreign clock
            with at most this delay: a wall clock slewed by 500 ppm is mapped to within 2.5 ms.
        snap_s: an offset that changes by more than this is a step, and the window starts over.
    """

    def __init__(self, ledger: Ledger, *, window_s: float = 5.0, snap_s: float = 0.020) -> None:
        self._ledger = ledger
        self._window_ns = round(window_s * NS_PER_S)
        self._snap_ns = round(snap_s * NS_PER_S)
        # (monotonic, offset), offsets growing from left to right: the left one is the minimum
        self._minima: deque[tuple[int, int]] = deque()
        self._late: list[tuple[int, int]] = []

    def observe(self, foreign_ns: int, monotonic_ns: int) -> None:
        """Take one pair of readings, the foreign clock's first."""
        offset_ns = monotonic_ns - foreign_ns
        if self._minima:
            change_ns = offset_ns - self._minima[0][1]
            if change_ns < -self._snap_ns:
                self._snap(monotonic_ns, change_ns)
            elif change_ns > self._snap_ns:
                self._late.append((monotonic_ns, offset_ns))
                if len(self._late) < SNAP_READINGS:
                    return
                late, self._late = self._late[:-1], []
                self._snap(monotonic_ns, change_ns)
                for reading in late:
                    self._add(*reading)
        self._late.clear()
        self._add(monotonic_ns, offset_ns)

    @property
    def ready(self) -> bool:
        """True once there is a reading."""
        return bool(self._minima)

    @property
    def offset_ns(self) -> int:
        """Monotonic minus foreign time.

        Raises:
            LookupError: there is no reading yet.
        """
        if not self._minima:
            raise LookupError("the clock has not been read yet")
        return self._minima[0][1]

    def to_monotonic_ns(self, foreign_ns: int) -> int:
        """Convert a time of the foreign clock; see `offset_ns` for the error."""
        return foreign_ns + self.offset_ns

    def _add(self, monotonic_ns: int, offset_ns: int) -> None:
        while self._minima and self._minima[-1][1] >= offset_ns:
            self._minima.pop()
        self._minima.append((monotonic_ns, offset_ns))
        while self._minima[0][0] < monotonic_ns - self._window_ns:
            self._minima.popleft()

    def _snap(self, monotonic_ns: int, change_ns: int) -> None:
        self._minima.clear()
        self._ledger.record(
            Event.CLOCK_SNAP, monotonic_ns, f"offset changed by {change_ns / NS_PER_MS:+.1f} ms"
        )
