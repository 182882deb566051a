"""How a source is at this moment, from what it announces and from what has come. Pure: no threads.

A source says when it is lost and when it is back, but one that hangs says nothing: so what has not
come for a while counts as missing, whatever was announced.
"""

from __future__ import annotations

from dataclasses import dataclass

from stream_avs.clock import MonotonicClock, monotonic_ns
from stream_avs.types import NS_PER_S, SourceState

MISSING_S = 2.0
"""Pictures or sound that have not come for this long are missed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceStatus:
    """State of a source, and a few words why."""

    state: SourceState = SourceState.WAITING
    detail: str = ""


UNKNOWN = SourceStatus()
"""Before anything is known."""


class SourceWatch:
    """Follows one source; calls may come from any thread.

    Args:
        clock: returns monotonic nanoseconds.
        missing_s: see `MISSING_S`.
    """

    def __init__(self, clock: MonotonicClock = monotonic_ns, missing_s: float = MISSING_S) -> None:
        self._clock = clock
        self._missing_ns = round(missing_s * NS_PER_S)
        self._begun_ns = clock()
        self._frame_ns: int | None = None
        self._sound_ns: int | None = None
        self._lost: SourceStatus | None = None
        self._no_sound = ""
        self._end: SourceStatus | None = None

    def frame(self) -> None:
        """A picture has come."""
        self._frame_ns = self._clock()
        self._lost = None

    def sound(self) -> None:
        """Sound has come."""
        self._sound_ns = self._clock()
        self._no_sound = ""

    def announce(self, state: SourceState, detail: str = "") -> None:
        """Take what the source says of itself; see `Sink.announce`."""
        if state is SourceState.SILENT:
            self._no_sound = detail or "no sound"
        elif state in (SourceState.ENDED, SourceState.FAILED):
            self._end = self._end or SourceStatus(state=state, detail=detail)
        else:
            self._lost = None if state is SourceState.LIVE else SourceStatus(state=state, detail=detail)

    def status(self) -> SourceStatus:
        """How the source is now; what is worse wins."""
        if self._end is not None:
            return self._end
        if (lost := self._lost) is not None:
            return lost
        now_ns = self._clock()
        if self._frame_ns is None:
            return SourceStatus(detail="no picture yet")
        if (away := self._missing(self._frame_ns, now_ns)) is not None:
            return SourceStatus(detail=f"no picture for {away:.0f} s")
        if self._no_sound:
            return SourceStatus(state=SourceState.SILENT, detail=self._no_sound)
        heard_ns = self._begun_ns if self._sound_ns is None else self._sound_ns
        if (away := self._missing(heard_ns, now_ns)) is not None:
            return SourceStatus(state=SourceState.SILENT, detail=f"no sound for {away:.0f} s")
        return SourceStatus(state=SourceState.LIVE)

    def _missing(self, newest_ns: int, now_ns: int) -> float | None:
        """Seconds since `newest_ns` if they are too many, else None."""
        away_ns = now_ns - newest_ns
        return away_ns / NS_PER_S if away_ns > self._missing_ns else None
