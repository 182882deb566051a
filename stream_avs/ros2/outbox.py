"""Takes results off the worker thread; the newest wins."""

from __future__ import annotations

import threading
from collections.abc import Callable

from stream_avs.ledger import Ledger
from stream_avs.types import Event, MaskResult


class Outbox:
    """A thread that delivers results, one at a time.

    A reliable publisher may be held back by a slow reader. Then results wait here, one at most, and the
    network goes on; a result that is overtaken is counted as PUBLISH_DROP.

    Args:
        deliver: called on the thread; what it raises ends up in `error`.
        ledger: counts what was overtaken.
    """

    def __init__(self, deliver: Callable[[MaskResult], None], ledger: Ledger) -> None:
        self._deliver = deliver
        self._ledger = ledger
        self._changed = threading.Condition()
        self._waiting: MaskResult | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self.error: Exception | None = None
        """What ended the thread, None while it is well."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, result: MaskResult) -> None:
        """Hand over one result; returns at once."""
        with self._changed:
            if self._waiting is not None:
                self._ledger.record(Event.PUBLISH_DROP, self._waiting.stamp_ns, "overtaken in the outbox")
            self._waiting = result
            self._changed.notify()

    def stop(self, timeout_s: float = 1.0) -> None:
        """End after the delivery in progress."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting is not None or self._stopping)
                result, self._waiting = self._waiting, None
            if result is None:
                return
            try:
                self._deliver(result)
            except Exception as error:
                self.error = error
                return
