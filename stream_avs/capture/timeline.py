"""Media time made monotonic: splices taken out, and playback by the clock.

Pure: the clock and the wait are passed in. Media time is int nanoseconds.
"""

from __future__ import annotations

from collections.abc import Callable

from stream_avs.clock import MonotonicClock
from stream_avs.types import NS_PER_S

BACKWARD_NS = NS_PER_S
"""A track whose time falls back further than this has been spliced, not reordered."""

HOLE_NS = 10 * NS_PER_S
"""A hole longer than this in every track is skipped, not waited for."""

LATE_NS = 250_000_000
"""Playback this late for `PATIENCE_NS` slips: half of the default staleness budget."""

PATIENCE_NS = NS_PER_S


class Splices:
    """Where the time of a recording starts over, e.g. two transport streams joined end to end.

    The first track to arrive at a splice decides the offset behind it; the other takes the same, so
    picture and sound stay together.
    """

    def __init__(self) -> None:
        self.offsets_ns = [0]


class TrackTime:
    """Time of one track with the splices taken out.

    Args:
        splices: shared by all tracks of one container.
    """

    def __init__(self, splices: Splices) -> None:
        self._splices = splices
        self._passed = 0
        self._end_ns: int | None = None

    def place(self, media_ns: int, duration_ns: int) -> int:
        """Return the time of an item on the one line all tracks share."""
        offsets = self._splices.offsets_ns
        placed = media_ns + offsets[self._passed]
        if self._end_ns is not None and placed < self._end_ns - BACKWARD_NS:
            self._passed += 1
            if self._passed == len(offsets):
                offsets.append(self._end_ns - media_ns)
            placed = media_ns + offsets[self._passed]
        self._end_ns = max(self._end_ns or placed, placed + duration_ns)
        return placed


class PlaybackClock:
    """Says when each moment of a recording is due on the monotonic clock; `align` it first.

    Args:
        clock: the monotonic clock.
        wait: sleeps the given seconds; returns False when playback must stop.
    """

    def __init__(self, clock: MonotonicClock, wait: Callable[[float], bool]) -> None:
        self._offset_ns = 0
        self._clock = clock
        self._wait = wait
        self._late_since_ns: int | None = None

    def stamp_ns(self, media_ns: int) -> int:
        """Monotonic time of a moment of the recording."""
        return media_ns + self._offset_ns

    def align(self, media_ns: int, stamp_ns: int) -> None:
        """Make a moment of the recording due at `stamp_ns`, and all others relative to it."""
        self._offset_ns = stamp_ns - media_ns
        self._late_since_ns = None

    def shift(self, by_ns: int) -> None:
        """Make everything that follows due later."""
        self._offset_ns += by_ns

    def wait_until(self, media_ns: int) -> bool:
        """Sleep until the moment is due; return False when playback must stop."""
        remaining_ns = self.stamp_ns(media_ns) - self._clock()
        return remaining_ns <= 0 or self._wait(remaining_ns / NS_PER_S)

    def slip_ns(self, media_ns: int) -> int:
        """By how much to shift because playback cannot keep up; 0 while it can.

        A short stall is caught up with; lateness beyond `LATE_NS` for `PATIENCE_NS` is not, for the
        frames would only get older.
        """
        now = self._clock()
        late_ns = now - self.stamp_ns(media_ns)
        if late_ns <= LATE_NS:
            self._late_since_ns = None
            return 0
        if self._late_since_ns is None:
            self._late_since_ns = now
        if now - self._late_since_ns < PATIENCE_NS:
            return 0
        self._late_since_ns = None
        return late_ns
