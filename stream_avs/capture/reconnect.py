"""What every source does when it is lost: say so, try again with growing delays, say that it is back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from stream_avs.capture.base import Sink
from stream_avs.clock import MonotonicClock
from stream_avs.config import ReconnectConfig
from stream_avs.errors import SourceLostError
from stream_avs.timing.backoff import Backoff
from stream_avs.types import NS_PER_S, Event, SourceState

STEADY_NS = 10 * NS_PER_S
"""A source that works for so long may be tried at once when it is lost again."""


class Absence:
    """One source's absences, as its sink is told of them.

    Args:
        name: of the source, for people.
        config: after how long to give up.
        sink: is told.
        clock: the monotonic clock.
    """

    def __init__(self, name: str, config: ReconnectConfig, sink: Sink, clock: MonotonicClock) -> None:
        self._name = name
        self._config = config
        self._sink = sink
        self._clock = clock
        self._lost_ns: int | None = None

    @property
    def lost(self) -> bool:
        """True from `begin` to `end`."""
        return self._lost_ns is not None

    def begin(self, why: str, since_ns: int | None = None) -> None:
        """The source is lost, now or since then."""
        self._lost_ns = self._clock() if since_ns is None else since_ns
        self._sink.event(Event.DISCONTINUITY, self._lost_ns, why)
        self._sink.announce(SourceState.RECONNECTING, why)

    def check(self, since_ns: int | None = None) -> None:
        """Give up if it is time to; `since_ns` is for a source that has never come.

        Raises:
            SourceLostError: the source has been away for `config.give_up_after_s`.
        """
        limit_s = self._config.give_up_after_s
        lost_ns = since_ns if self._lost_ns is None else self._lost_ns
        if limit_s and lost_ns is not None and self._clock() - lost_ns >= limit_s * NS_PER_S:
            raise SourceLostError(
                f"{self._name} has not come back for {limit_s:g} s",
                "Check the device or the sender; with --reconnect.give-up-after-s 0 it is waited for",
            )

    def end(self) -> int:
        """The source is back; returns the time."""
        now_ns = self._clock()
        away_s = (now_ns - (self._lost_ns or now_ns)) / NS_PER_S
        self._lost_ns = None
        self._sink.event(Event.RECONNECT, now_ns, f"{self._name} was away for {away_s:.1f} s")
        self._sink.announce(SourceState.LIVE)
        return now_ns


class Reconnect:
    """The way back of a source that has to be opened again; arguments as for `Absence`."""

    def __init__(self, name: str, config: ReconnectConfig, sink: Sink, clock: MonotonicClock) -> None:
        self._clock = clock
        self._absence = Absence(name, config, sink, clock)
        self._backoff = Backoff(config)
        self._back_ns = clock()

    @property
    def lost(self) -> bool:
        """True from the first of the attempts until `back`."""
        return self._absence.lost

    def attempts(
        self, why: str, stop: threading.Event, sooner: Callable[[], bool] | None = None
    ) -> Iterator[None]:
        """Yield each time it should be tried, until `back` is called or `stop` is set.

        Args:
            why: what happened.
            stop: ends the attempts.
            sooner: see `Backoff.wait`.

        Raises:
            SourceLostError: see `Absence.check`.
        """
        if self._clock() - self._back_ns > STEADY_NS:
            self._backoff.reset()
        if not self._absence.lost:
            self._absence.begin(why)
        while self._absence.lost and self._backoff.wait(stop, sooner):
            yield
            if self._absence.lost:
                self._absence.check()

    def back(self) -> int:
        """The source is open again and delivers; returns the time."""
        self._back_ns = self._absence.end()
        return self._back_ns
