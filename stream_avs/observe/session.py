"""Logs, metrics and health of one session, opened together."""

from __future__ import annotations

from contextlib import ExitStack

from stream_avs.ledger import Ledger
from stream_avs.observe.config import LogConfig, MetricsConfig
from stream_avs.observe.event_log import log_event
from stream_avs.observe.log import Logs
from stream_avs.observe.monitor import Monitor
from stream_avs.observe.server import MetricsServer


def open_monitor(
    stream: str, metrics: MetricsConfig, log: LogConfig, ledger: Ledger, stack: ExitStack
) -> Monitor:
    """Log the ledger's events, and serve metrics and health if asked for; `stack` ends both.

    The monitor wants to hear each result (`publish`), and to be told what to `watch`.

    Raises:
        PublishError: the address of the metrics cannot be bound.
    """
    logs = stack.enter_context(Logs(log))
    ledger.tell(log_event)
    monitor = Monitor(stream, silent_after_s=metrics.silent_after_s, suppressed=logs.suppressed)
    if metrics.address:
        stack.enter_context(MetricsServer(metrics, monitor))
    return monitor
