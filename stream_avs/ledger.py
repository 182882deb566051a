"""Counts of everything out of the ordinary, so that nothing is lost silently."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from stream_avs.scrub import scrub
from stream_avs.types import FRAME_DROPS, Event


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One event: what, when (monotonic ns of the data it concerns), and a few words."""

    event: Event
    stamp_ns: int
    detail: str = ""


class Ledger:
    """Thread-safe event counter that also remembers the most recent entries.

    Args:
        remember: how many recent entries to keep.
    """

    def __init__(self, remember: int = 64) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[Event] = Counter()
        self._recent: deque[Entry] = deque(maxlen=remember)
        self._listeners: tuple[Callable[[Entry, int], None], ...] = ()

    def record(self, event: Event, stamp_ns: int, detail: str = "", *, count: int = 1) -> None:
        """Count `event` `count` times; `stamp_ns` is the stamp of the data it happened to.

        Credentials in `detail` are left out.
        """
        if count <= 0:
            return
        entry = Entry(event=event, stamp_ns=stamp_ns, detail=scrub(detail))
        with self._lock:
            self._counts[event] += count
            self._recent.append(entry)
        for listener in self._listeners:
            listener(entry, count)

    def tell(self, listener: Callable[[Entry, int], None]) -> None:
        """Call `listener(entry, count)` with each event from now on, on the thread that records it.

        It must not block, and not record.
        """
        with self._lock:
            self._listeners = (*self._listeners, listener)

    def counts(self) -> dict[Event, int]:
        """All counts so far, only events that happened."""
        with self._lock:
            return dict(self._counts)

    def dropped_frames(self) -> int:
        """How many captured frames will never get a mask."""
        with self._lock:
            return sum(n for event, n in self._counts.items() if event in FRAME_DROPS)

    def recent(self) -> tuple[Entry, ...]:
        """The most recent entries, oldest first."""
        with self._lock:
            return tuple(self._recent)
