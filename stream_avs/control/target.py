"""What commands act on: a small, explicit interface to a running session."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

from stream_avs.control.gate import Gate
from stream_avs.control.messages import (
    MAX_TEXT,
    Done,
    Pause,
    Reply,
    Request,
    Reset,
    Resume,
    State,
    Status,
    Threshold,
)
from stream_avs.engine.statistics import Snapshot


class Session(Protocol):
    """The part of a `Pipeline` that commands need."""

    def reset(self, reason: str = ...) -> None:
        """Clear carried state before the next window."""

    def set_threshold(self, threshold: float | None) -> float:
        """Decide at another threshold from the next window on; None for the preset's own."""

    @property
    def threshold(self) -> float | None:
        """The threshold in use; None if the network has none."""

    def snapshot(self) -> Snapshot:
        """Figures of now."""


class SessionControl:
    """Carries commands out on one session. Called by one thread.

    Args:
        session: the pipeline.
        gate: its tap nearest to the source.
        stop: ends the session; returns at once.
        stream: name of the stream.
        source: what it is fed from, without credentials.
    """

    def __init__(
        self, session: Session, gate: Gate, stop: Callable[[], None], *, stream: str, source: str
    ) -> None:
        self._session = session
        self._gate = gate
        self._stop = stop
        self._stream = stream
        self._source = source

    def carry_out(self, request: Request) -> Reply:
        """Do what is asked, and answer.

        Raises:
            ConfigError: the session's network has no threshold.
        """
        match request:
            case Status():
                return self._state()
            case Reset(reason=reason):
                self._session.reset(reason)
            case Threshold(value=value):
                self._session.set_threshold(value)
            case Pause():
                self._gate.pause()
            case Resume():
                self._gate.resume()
            case _:
                self._stop()
        return Done()

    def _state(self) -> State:
        snapshot = self._session.snapshot()
        return State(
            stream=self._stream[:MAX_TEXT],
            source=self._source[:MAX_TEXT],
            source_state=snapshot.source.state.value,
            source_detail=snapshot.source.detail[:MAX_TEXT],
            paused=self._gate.paused,
            masks=snapshot.masks,
            masks_per_s=snapshot.masks_per_s,
            age_p50_ms=_finite(snapshot.age_p50_ms),
            age_p95_ms=_finite(snapshot.age_p95_ms),
            state=snapshot.state.value if snapshot.state is not None else "",
            rung=snapshot.rung,
            counts={event.value: n for event, n in snapshot.counts.items()},
            threshold=self._session.threshold,
        )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
