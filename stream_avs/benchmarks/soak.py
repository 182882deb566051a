"""A long run on a looped file: does the age of masks grow, does memory grow?"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from stream_avs.benchmarks.machine import resident_mb
from stream_avs.capture.media import Media
from stream_avs.config import MediaConfig, RunConfig
from stream_avs.models.base import AnyModel
from stream_avs.pipeline import Pipeline, run_until_done
from stream_avs.publish.zeromq import Publisher

SETTLE_SHARE = 0.2  # the first part of a run fills caches and buffers and is left out of the slope
MAX_AGE_GROWTH_MS = 20.0
MAX_MEMORY_GROWTH_MB = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """State at one moment of the run."""

    at_s: float
    masks: int
    age_p50_ms: float
    age_p95_ms: float
    memory_mb: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Soak:
    """A whole run. Growth is the fitted slope over the settled part times its length."""

    minutes: float
    masks: int
    captured: int
    counts: dict[str, int]
    age_growth_ms: float
    memory_growth_mb: float
    passed: bool
    samples: tuple[Sample, ...]


def run_soak(
    config: RunConfig,
    model: AnyModel,
    minutes: float,
    every_s: float = 5.0,
    progress: Callable[[float], None] = lambda share: None,
) -> Soak:
    """Play `config.source` in a loop for `minutes` through pipeline and publisher.

    Args:
        progress: called with the share done, 0..1.
    """
    config = replace(config, media=MediaConfig(loop=True))
    samples: list[Sample] = []
    start_s = time.monotonic()

    with Publisher(config.publish, config.name) as publisher:
        source = Media(config.source, config.media)
        with Pipeline(config, source, model, (publisher.publish,)) as pipeline:

            def tick() -> None:
                at_s = time.monotonic() - start_s
                progress(min(1.0, at_s / (minutes * 60)))
                if at_s >= (len(samples) + 1) * every_s:
                    samples.append(_sample(at_s, pipeline))

            run_until_done(pipeline, minutes * 60, tick)
    snapshot = pipeline.snapshot()
    age_growth_ms = growth([(s.at_s, s.age_p50_ms) for s in samples])
    memory_growth_mb = growth([(s.at_s, s.memory_mb) for s in samples])
    return Soak(
        minutes=minutes,
        masks=snapshot.masks,
        captured=pipeline.captured,
        counts={event.value: n for event, n in snapshot.counts.items()},
        age_growth_ms=age_growth_ms,
        memory_growth_mb=memory_growth_mb,
        passed=age_growth_ms <= MAX_AGE_GROWTH_MS and memory_growth_mb <= MAX_MEMORY_GROWTH_MB,
        samples=tuple(samples),
    )


def _sample(at_s: float, pipeline: Pipeline) -> Sample:
    snapshot = pipeline.snapshot()
    return Sample(
        at_s=at_s, masks=snapshot.masks, age_p50_ms=snapshot.age_p50_ms, age_p95_ms=snapshot.age_p95_ms,
        memory_mb=resident_mb(),
    )  # fmt: skip


def growth(points: list[tuple[float, float]]) -> float:
    """Least-squares rise of (time, value) over the settled part of a run; 0 with too few points."""
    settled = points[int(len(points) * SETTLE_SHARE) :]
    if len(settled) < 3:
        return 0.0
    at, value = np.array(settled).T
    slope = float(np.polyfit(at, value, 1)[0])
    return slope * float(at[-1] - at[0])
