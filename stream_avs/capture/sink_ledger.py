"""Lets the parts that count in a ledger count in a sink."""

from __future__ import annotations

from stream_avs.capture.base import Sink
from stream_avs.ledger import Ledger
from stream_avs.types import Event


class SinkLedger(Ledger):
    """A ledger that also passes events on to a sink, while `forwarding` is True.

    Args:
        sink: told of the events.
    """

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self.forwarding = True
        self._sink = sink

    def record(self, event: Event, stamp_ns: int, detail: str = "", *, count: int = 1) -> None:
        """See `Ledger.record`."""
        super().record(event, stamp_ns, detail, count=count)
        for _ in range(count if self.forwarding else 0):
            self._sink.event(event, stamp_ns, detail)
