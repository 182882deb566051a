"""Ledger: counts are exact under threads; only frame drops count as dropped frames."""

from __future__ import annotations

import threading

from stream_avs.ledger import Ledger
from stream_avs.types import Event


def test_counts_and_dropped_frames() -> None:
    ledger = Ledger(remember=2)
    ledger.record(Event.STALE, 1)
    ledger.record(Event.SUPERSEDED, 2, count=3)
    ledger.record(Event.AUDIO_GAP, 3, "20 ms")
    ledger.record(Event.STALE, 4, count=0)
    assert ledger.counts() == {Event.STALE: 1, Event.SUPERSEDED: 3, Event.AUDIO_GAP: 1}
    assert ledger.dropped_frames() == 4
    assert [e.event for e in ledger.recent()] == [Event.SUPERSEDED, Event.AUDIO_GAP]
    assert ledger.recent()[-1].detail == "20 ms"


def test_threads_lose_no_count() -> None:
    ledger = Ledger()

    def work() -> None:
        for i in range(2000):
            ledger.record(Event.STALE, i)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert ledger.counts()[Event.STALE] == 8000
