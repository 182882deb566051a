"""The two clocks: monotonic inside, wall time at the edges."""

from __future__ import annotations

import time
from collections.abc import Callable

MonotonicClock = Callable[[], int]
"""Returns nanoseconds on a clock that never jumps; passed in wherever time is read."""

monotonic_ns: MonotonicClock = time.monotonic_ns


def unix_offset_ns() -> int:
    """Unix time minus monotonic time now, in ns. Changes when the wall clock is set."""
    before = time.monotonic_ns()
    wall = time.time_ns()
    after = time.monotonic_ns()
    return wall - (before + after) // 2
