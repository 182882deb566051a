"""The time line of a live stream on the monotonic clock, jumps included. Pure: no sockets."""

from __future__ import annotations

import enum

from stream_avs.capture.base import Sink
from stream_avs.capture.sink_ledger import SinkLedger
from stream_avs.timing.clock_filter import ClockFilter, Noise
from stream_avs.types import NS_PER_S

TICK_HZ = 1e6

SETTLE_NS = NS_PER_S // 2
"""What arrives so soon after the connection, or a jump, is not handed over: it may have waited in
buffers, and read in one burst it shows how late it is."""

BACKWARD_S = 1.0
"""A track whose time falls back further than pictures are ever reordered has started over."""

FUTURE_NS = NS_PER_S // 2
"""Nothing arrives this long before it happened: the time line has jumped."""

BACKLOG_NS = 10 * NS_PER_S
"""The same while settling: a backlog read in one burst looks early by its own length."""

PAST_NS = 30 * NS_PER_S
"""Nor is anything stamped this long before it arrived: it belongs to the time line before a jump."""

STEP_BACK_NS = NS_PER_S // 5
"""A clock correction that takes stamps back further than this is a new beginning; after a smaller
one a few frames come late and are counted as such."""

STRAGGLER_NS = 2 * NS_PER_S
"""So long after a jump, packets from before it may still come."""


class Place(enum.Enum):
    """Where a packet stands on the time line."""

    SETTLING = "settling"  # decode it, hand nothing over
    SETTLED = "settled"
    MISPLACED = "misplaced"  # from before a jump: ignore it


class LiveTime:
    """Maps media seconds to monotonic ns along the earliest arrivals of both tracks.

    Args:
        sink: told of jumps and clock events.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._ledger = SinkLedger(sink)
        self._jump_ns: int | None = None
        self._filter: ClockFilter | None = None

    def arrived(self, is_video: bool, begin_s: float | None, end_s: float | None, arrival_ns: int) -> Place:
        """Learn from the arrival of a packet.

        Args:
            is_video: which track.
            begin_s: its media time in seconds; None if it has none.
            end_s: media time before which it cannot have been sent.
            arrival_ns: when it arrived, monotonic.
        """
        if begin_s is not None and end_s is not None:
            if self._filter is None:
                self._begin(arrival_ns)
            elif self._jumped(is_video, begin_s, arrival_ns):
                if self._jump_ns is not None and arrival_ns - self._jump_ns < STRAGGLER_NS:
                    return Place.MISPLACED
                self._jump_ns = arrival_ns
                self._begin(arrival_ns)
                self._sink.discontinuity("time stamps jumped", arrival_ns)
            self._learn(is_video, begin_s, end_s, arrival_ns)
        settled = self._filter is not None and arrival_ns - self._begun_ns >= SETTLE_NS
        return Place.SETTLED if settled else Place.SETTLING

    @property
    def begun_ns(self) -> int | None:
        """When the present time line began: with the connection, or with the latest jump."""
        return None if self._filter is None else self._begun_ns

    def stamp_ns(self, media_s: float) -> int | None:
        """Monotonic time of a media time; None if that is far from what arrives now."""
        if self._filter is None:
            return None
        plausible = -PAST_NS < self._roughly_ns(media_s) - self._newest_arrival_ns < FUTURE_NS
        return self._filter.stamp_ns(round(media_s * TICK_HZ)) if plausible else None

    def _begin(self, arrival_ns: int) -> None:
        self._filter = ClockFilter(TICK_HZ, ledger=self._ledger, noise=Noise.DELAY)
        self._begun_ns = arrival_ns
        self._newest_s: dict[bool, float] = {}

    def _jumped(self, is_video: bool, begin_s: float, arrival_ns: int) -> bool:
        fell_back = begin_s < self._newest_s.get(is_video, begin_s) - BACKWARD_S
        settling = arrival_ns - self._begun_ns < SETTLE_NS
        limit_ns = BACKLOG_NS if settling else FUTURE_NS
        return fell_back or self._roughly_ns(begin_s) - arrival_ns > limit_ns

    def _roughly_ns(self, media_s: float) -> int:
        # The filter must not be asked for times far off: it never again steps back behind them.
        reference_s, reference_ns = self._reference
        return reference_ns + round((media_s - reference_s) * NS_PER_S)

    def _learn(self, is_video: bool, begin_s: float, end_s: float, arrival_ns: int) -> None:
        assert self._filter is not None
        tick = round(end_s * TICK_HZ)
        # What the filter finds out before anything is handed over concerns nobody.
        self._ledger.forwarding = arrival_ns - self._begun_ns >= SETTLE_NS
        before_ns = self._filter.stamp_ns(tick) if self._newest_s else arrival_ns
        self._filter.update(tick, arrival_ns)
        now_ns = self._filter.stamp_ns(tick)
        self._newest_s[is_video] = max(begin_s, self._newest_s.get(is_video, begin_s))
        self._newest_arrival_ns = arrival_ns
        self._reference = (end_s, now_ns)
        if self._ledger.forwarding and before_ns - now_ns > STEP_BACK_NS:
            self._sink.discontinuity("clock of the stream stepped back", arrival_ns)
