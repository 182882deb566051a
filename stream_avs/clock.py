"""The two clocks: monotonic inside, wall time at the edges."""

from __future__ import annotations

import time
from collections.abc import Callable

MonotonicClock = Callable[[], int]
"""Returns nanoseconds on a clock that never jumps; passed in wherever time is read."""

monotonic_ns: MonotonicClock = time.monotonic_ns


READINGS = 5
QUICK_NS = 20_000


def unix_offset_ns() -> int:
    """Unix time minus monotonic time now, in ns. Changes when the wall clock is set.

    The quickest of a few readings, for this thread may be interrupted between the two clocks.
    """
    best_ns, offset_ns = -1, 0
    for _ in range(READINGS):
        before = time.monotonic_ns()
        wall = time.time_ns()
        took_ns = time.monotonic_ns() - before
        if best_ns < 0 or took_ns < best_ns:
            best_ns, offset_ns = took_ns, wall - before - took_ns // 2
        if best_ns <= QUICK_NS:
            break
    return offset_ns
