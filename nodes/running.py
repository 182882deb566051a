"""What the plain nodes share: run until told to stop."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

Say = Callable[[str], None]
"""Tells the user one line."""


def run_until(
    stop: threading.Event,
    done: Callable[[], bool],
    duration_s: float,
    poll_s: float = 0.1,
    tick: Callable[[], None] = lambda: None,
) -> None:
    """Return when `stop` is set, `done` is true, or `duration_s` (0: never) has passed; `tick` meanwhile."""
    end_s = time.monotonic() + duration_s if duration_s > 0 else math.inf
    while time.monotonic() < end_s and not done() and not stop.wait(poll_s):
        tick()
