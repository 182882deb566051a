"""What the plain nodes share: run until told to stop."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable

Say = Callable[[str], None]
"""Tells the user one line."""


def stop_on_signals() -> threading.Event:
    """An event that SIGINT and SIGTERM set; call from the main thread."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def run_until(
    stop: threading.Event, done: Callable[[], bool], duration_s: float, poll_s: float = 0.1
) -> None:
    """Return when `stop` is set, `done` is true, or `duration_s` (0: never) has passed."""
    end_s = time.monotonic() + duration_s if duration_s > 0 else math.inf
    while time.monotonic() < end_s and not done() and not stop.wait(poll_s):
        pass
