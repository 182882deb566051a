"""What a person wants to know of a running stream: rate, age, stages, drops, what sounds.

Pure: results and times are handed in. Keeps the last few seconds, so the figures follow the stream.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from stream_avs.timing.source_watch import UNKNOWN, SourceStatus
from stream_avs.types import NS_PER_S, Event, MaskResult, ResultState, Sounding


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """State of a stream at one moment.

    Attributes:
        masks: results since the start.
        masks_per_s: over the last few seconds.
        age_p50_ms, age_p95_ms: capture to result, over the same span; NaN before the first result.
        stages_p50_ms: median per stage over the same span.
        sounding: classes in the newest mask, highest score first.
        state: of the newest result, None before it.
        audio_level_dbfs: of the newest result.
        counts: events since the start.
        rung: "full", or what the overload ladder has given up.
        source: how the source is, and why.
    """

    masks: int
    masks_per_s: float
    age_p50_ms: float
    age_p95_ms: float
    stages_p50_ms: dict[str, float]
    sounding: tuple[Sounding, ...]
    state: ResultState | None
    audio_level_dbfs: float
    counts: dict[Event, int]
    rung: str = "full"
    source: SourceStatus = UNKNOWN


class Statistics:
    """Collects results and gives snapshots; one thread observes, another may read.

    Args:
        span_s: how far back rates and quantiles look.
    """

    def __init__(self, span_s: float = 5.0) -> None:
        self._span_ns = int(span_s * NS_PER_S)
        self._recent: deque[tuple[int, float, dict[str, float]]] = deque()
        self._newest: MaskResult | None = None
        self._masks = 0

    def observe(self, result: MaskResult, age_ms: float, now_ns: int) -> None:
        """Take one result, its age and the time it came."""
        self._masks += 1
        self._newest = result
        self._recent.append((now_ns, age_ms, result.latency_ms))
        while self._recent and self._recent[0][0] < now_ns - self._span_ns:
            self._recent.popleft()

    def snapshot(
        self,
        now_ns: int,
        counts: dict[Event, int],
        rung: str = "full",
        source: SourceStatus | None = None,
    ) -> Snapshot:
        """Figures at `now_ns`; `counts` are the ledger's, `rung` is the worker's, `source` the intake's."""
        recent = [entry for entry in tuple(self._recent) if entry[0] >= now_ns - self._span_ns]
        ages = np.array([age for _, age, _ in recent])
        span_s = (now_ns - recent[0][0]) / NS_PER_S if recent else 0.0
        newest = self._newest
        return Snapshot(
            masks=self._masks,
            masks_per_s=(len(recent) - 1) / span_s if len(recent) > 1 and span_s > 0 else 0.0,
            age_p50_ms=float(np.percentile(ages, 50)) if recent else float("nan"),
            age_p95_ms=float(np.percentile(ages, 95)) if recent else float("nan"),
            stages_p50_ms=_stage_medians([stages for _, _, stages in recent]),
            sounding=newest.sounding if newest else (),
            state=newest.state if newest else None,
            audio_level_dbfs=newest.audio_level_dbfs if newest else -120.0,
            counts=counts,
            rung=rung,
            source=source or UNKNOWN,
        )


def _stage_medians(stages: list[dict[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for step in stages for name in step)
    return {name: float(np.median([step[name] for step in stages if name in step])) for name in names}
