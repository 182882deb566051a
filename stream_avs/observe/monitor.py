"""Collects the figures of one session and hands them out when asked."""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Protocol

from stream_avs import __version__
from stream_avs.clock import MonotonicClock, monotonic_ns
from stream_avs.engine.statistics import Snapshot
from stream_avs.engine.supervise import Supervisor
from stream_avs.observe import metrics
from stream_avs.observe.exposition import Distribution, Sample
from stream_avs.observe.health import Health, judge
from stream_avs.observe.process import PROC, heap_bytes, usage_of
from stream_avs.types import FRAME_DROPS, NS_PER_S, Event, MaskResult, ResultState, SourceState

AGE_BOUNDS_S = (
    0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.125, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0,
    2.0, 5.0,
)  # fmt: skip


class Watched(Protocol):
    """What is read of a pipeline."""

    def snapshot(self) -> Snapshot:
        """Rate, age, drops and what sounds, now."""

    @property
    def captured(self) -> int:
        """Frames taken from the source so far."""

    @property
    def supervisor(self) -> Supervisor | None:
        """Replaces the worker; None before the start."""


class Monitor:
    """Sees every result, and reads everything else when somebody asks. Thread-safe.

    Args:
        stream: its name.
        silent_after_s: without a mask for this long the session is not healthy.
        suppressed: returns how many log lines were left out.
        clock: the monotonic clock.
    """

    def __init__(
        self,
        stream: str,
        *,
        silent_after_s: float = 5.0,
        suppressed: Callable[[], int] = lambda: 0,
        clock: MonotonicClock = monotonic_ns,
    ) -> None:
        self._labels = {"version": __version__, "stream": stream}
        self._silent_after_s = silent_after_s
        self._suppressed = suppressed
        self._clock = clock
        self._watched: Watched | None = None
        self._subscribers: Callable[[], int] = lambda: 0
        self._lock = threading.Lock()
        self._ages = [0] * (len(AGE_BOUNDS_S) + 1)
        self._ages_total_s = 0.0
        self._last_mask_ns: int | None = None

    def watch(self, pipeline: Watched, model: str, subscribers: Callable[[], int] = lambda: 0) -> None:
        """Read figures from `pipeline` from now on; until then the session is starting.

        Args:
            pipeline: has the figures.
            model: id of the model that runs.
            subscribers: returns how many read the masks.
        """
        self._labels["model"] = model
        self._subscribers = subscribers
        self._watched = pipeline

    def publish(self, result: MaskResult) -> None:
        """Take one result; a listener of the pipeline."""
        age_s = result.age_ms / 1000
        with self._lock:
            self._ages[bisect_left(AGE_BOUNDS_S, age_s)] += 1
            self._ages_total_s += age_s
            self._last_mask_ns = self._clock()

    def health(self) -> Health:
        """Whether the session does its work now."""
        if self._watched is None:
            return Health(live=False, reason="starting")
        return self._judge(self._watched.snapshot())

    def samples(self) -> list[Sample | Distribution]:
        """Every figure of `metrics.METRICS`, in that order; those of the process on Linux only."""
        if (watched := self._watched) is None:
            return [Sample(metric=metrics.LIVE, value=0)]
        snapshot = watched.snapshot()
        return [
            *self._totals(snapshot, watched.captured),
            *self._recent(snapshot),
            Sample(metric=metrics.READERS, value=self._subscribers()),
            Sample(metric=metrics.LIVE, value=int(self._judge(snapshot).live)),
            Sample(metric=metrics.SUPPRESSED, value=self._suppressed()),
            *_process(),
        ]

    def _judge(self, snapshot: Snapshot) -> Health:
        supervisor = self._watched.supervisor if self._watched is not None else None
        return judge(
            self._clock(),
            self._last_mask_ns,
            snapshot.source,
            self._silent_after_s,
            restarting=supervisor is not None and supervisor.restarting,
        )

    def _totals(self, snapshot: Snapshot, captured: int) -> Iterator[Sample | Distribution]:
        yield Sample(metric=metrics.INFO, value=1, labels=self._labels)
        yield Sample(metric=metrics.FRAMES, value=captured)
        yield Sample(metric=metrics.MASKS, value=snapshot.masks)
        for event in Event:
            drop = "yes" if event in FRAME_DROPS else "no"
            labels = {"event": event.value, "frame_drop": drop}
            yield Sample(metric=metrics.EVENTS, value=snapshot.counts.get(event, 0), labels=labels)
        with self._lock:
            counts, total_s = tuple(self._ages), self._ages_total_s
        yield Distribution(metric=metrics.AGE, bounds=AGE_BOUNDS_S, counts=counts, total=total_s)

    def _recent(self, snapshot: Snapshot) -> Iterator[Sample]:
        yield Sample(metric=metrics.MASK_RATE, value=snapshot.masks_per_s)
        for quantile, age_ms in (("0.5", snapshot.age_p50_ms), ("0.95", snapshot.age_p95_ms)):
            yield Sample(metric=metrics.RECENT_AGE, value=age_ms / 1000, labels={"quantile": quantile})
        for stage, stage_ms in snapshot.stages_p50_ms.items():
            yield Sample(metric=metrics.STAGE, value=stage_ms / 1000, labels={"stage": stage})
        for source in SourceState:
            now = source is snapshot.source.state
            yield Sample(metric=metrics.SOURCE, value=int(now), labels={"state": source.value})
        last_ns = self._last_mask_ns
        since_s = math.inf if last_ns is None else (self._clock() - last_ns) / NS_PER_S
        yield Sample(metric=metrics.SINCE_MASK, value=since_s)
        for state in ResultState:
            yield Sample(
                metric=metrics.STATE, value=int(state is snapshot.state), labels={"state": state.value}
            )
        yield Sample(metric=metrics.RUNG, value=1, labels={"rung": snapshot.rung})
        for sounding in snapshot.sounding:
            yield Sample(metric=metrics.SOUNDING, value=sounding.score, labels={"label": sounding.name})
        for sounding in snapshot.sounding:
            yield Sample(metric=metrics.SOUNDING_AREA, value=sounding.area, labels={"label": sounding.name})
        yield Sample(metric=metrics.LEVEL, value=snapshot.audio_level_dbfs)


def _process() -> Iterator[Sample]:
    if not PROC.exists():
        return
    usage = usage_of()
    yield Sample(metric=metrics.MEMORY, value=usage.resident_bytes)
    yield Sample(metric=metrics.HEAP, value=heap_bytes() or 0)
    yield Sample(metric=metrics.FILES, value=usage.files)
    yield Sample(metric=metrics.THREADS, value=usage.threads)
    yield Sample(metric=metrics.CPU, value=usage.cpu_s)
