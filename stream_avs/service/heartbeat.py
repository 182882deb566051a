"""A sign of life that is honest: given only while the session gets somewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from stream_avs.engine.statistics import Snapshot
from stream_avs.pipeline import Pipeline
from stream_avs.service.notify import Notifier
from stream_avs.types import Event

STATUS_EVERY_S = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Counts of a session; each only grows.

    Attributes:
        captured: frames taken from the source.
        masks: results.
        moves: of worker and supervisor, resting included, see `Supervisor.moves`.
    """

    captured: int
    masks: int
    moves: int

    def since(self, before: Progress) -> bool:
        """Whether it got somewhere: frames came and masks with them, or none came and the worker waits."""
        if self.captured != before.captured:
            return self.masks != before.masks
        return self.moves != before.moves


class Heartbeat:
    """Tells a service manager how a session goes.

    Args:
        notifier: to the manager.
        progress: reads the session.
        status: says how it goes, in a line.
        clock: returns seconds.
    """

    def __init__(
        self,
        notifier: Notifier,
        progress: Callable[[], Progress],
        status: Callable[[], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._notifier = notifier
        self._progress = progress
        self._status = status
        self._clock = clock
        self._before = progress()
        self._alive_s = self._told_s = clock()
        notifier.ready()
        notifier.status(status())

    def tick(self) -> None:
        """Call it a few times within `Notifier.watchdog_s`, on the thread that the session ends with."""
        now_s = self._clock()
        if now_s - self._told_s >= STATUS_EVERY_S:
            self._told_s = now_s
            self._notifier.status(self._status())
        # Twice as often as it is waited for, as sd_watchdog_enabled(3) advises.
        if not self._notifier.watchdog_s or now_s - self._alive_s < self._notifier.watchdog_s / 2:
            return
        progress = self._progress()
        if progress.since(self._before):
            self._before, self._alive_s = progress, now_s
            self._notifier.alive()


def heartbeat_of(pipeline: Pipeline, notifier: Notifier) -> Heartbeat:
    """Tell the manager that the session has started, and how it goes."""

    def progress() -> Progress:
        masks = pipeline.snapshot().masks
        return Progress(captured=pipeline.captured, masks=masks, moves=pipeline.moves)

    return Heartbeat(notifier, progress, lambda: status_line(pipeline.snapshot()))


def status_line(snapshot: Snapshot) -> str:
    """How a session goes, in a line."""
    source = snapshot.source
    rate = f"{snapshot.masks_per_s:.1f} masks/s, age p95 {snapshot.age_p95_ms:.0f} ms"
    restarts = snapshot.counts.get(Event.RESTART, 0)
    parts = [f"source {source.state.value}{f' ({source.detail})' if source.detail else ''}", rate]
    return ", ".join(parts + ([f"{restarts} restarts"] if restarts else []))
