"""The thread every source captures on."""

from __future__ import annotations

import threading
from collections.abc import Callable

from stream_avs.capture.base import Sink
from stream_avs.errors import SourceError, StreamAvsError

STOP_WAIT_S = 0.8
"""How long `Worker.stop` waits: a source promises to stop within one second."""


class Worker:
    """A daemon thread that runs `body(stop)` once; its death is told to the sink, never swallowed.

    Drivers and network reads can block for seconds and cannot be interrupted from outside. `stop`
    therefore waits `STOP_WAIT_S` and then leaves the thread to end by itself when its call returns;
    `body` must check the event before it hands anything over.

    Args:
        name: thread name, e.g. "camera 0".
        body: the work; gets the event that asks it to end.
        sink: told through `ended` when `body` raises.
    """

    def __init__(self, name: str, body: Callable[[threading.Event], None], sink: Sink) -> None:
        self._name = name
        self._body = body
        self._sink = sink
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> bool:
        """Ask the thread to end; return whether it did within `STOP_WAIT_S`. May be called twice."""
        self._stop.set()
        if self._thread is threading.current_thread() or self._thread.ident is None:
            return True
        self._thread.join(STOP_WAIT_S)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._body(self._stop)
        except StreamAvsError as error:
            if not self._stop.is_set():
                self._sink.ended(error)
        except Exception as error:
            # A bug: the pipeline must end, and the traceback must still be seen.
            self._sink.ended(SourceError(f"{self._name} stopped on an internal error: {error!r}"))
            raise
