"""An orderly end on the first signal, an end at once on the second, and an end in any case.

The first SIGINT or SIGTERM raises KeyboardInterrupt in the main thread, so that every `with` is left in
its order. What hangs on the way out (a driver, a disk) is given `limit_s`; then the process ends all
the same, for a service manager, or a person, waits. A session that ends by itself may take its time.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
LIMIT_S = 20.0
AT_ONCE = "ended at once; something may not have been written"
HURRIED = 130
"""Exit code of an end that did not wait: something may not have been written."""


def leave(text: str) -> None:
    """End the process now, with one line that says why."""
    sys.stderr.write(f"\nstream-avs: {text}\n")
    sys.stderr.flush()
    os._exit(HURRIED)


class Shutdown:
    """Handles signals while it is entered; for the main thread.

    Args:
        on_begin: called once when the end begins; must be quick.
        limit_s: how long an orderly end may take.
        leave: ends the process, see `leave`.
    """

    def __init__(
        self,
        on_begin: Callable[[], None] = lambda: None,
        limit_s: float = LIMIT_S,
        leave: Callable[[str], None] = leave,
    ) -> None:
        self._on_begin = on_begin
        self._limit_s = limit_s
        self._leave = leave
        self._timer: threading.Timer | None = None
        self._begun = False
        self._before: dict[signal.Signals, object] = {}

    def begin(self) -> None:
        """The session is over: from here on a signal does not interrupt what is being closed."""
        if not self._begun:
            self._begun = True
            self._on_begin()

    @contextmanager
    def session(self) -> Iterator[None]:
        """What the first signal ends; what comes behind it is no longer interrupted."""
        try:
            with suppress(KeyboardInterrupt):
                yield
        finally:
            self.begin()

    def __enter__(self) -> Shutdown:
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        if self._timer is not None:
            self._timer.cancel()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._timer is not None:
            self._leave(AT_ONCE)
            return
        self._timer = _limit(self._limit_s, self._leave)
        if not self._begun:
            self.begin()
            raise KeyboardInterrupt


def stop_on_signals(limit_s: float = LIMIT_S) -> threading.Event:
    """The same for a main thread that waits: return an event that the first signal sets."""
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            leave(AT_ONCE)
        _limit(limit_s, leave)
        stop.set()

    for number in SIGNALS:
        signal.signal(number, on_signal)
    return stop


def _limit(limit_s: float, leave: Callable[[str], None]) -> threading.Timer:
    """Let the process end after so long; returns what may be cancelled."""
    text = f"the end has taken more than {limit_s:g} s; something may not have been written"
    timer = threading.Timer(limit_s, leave, [text])
    timer.daemon = True
    timer.start()
    return timer
