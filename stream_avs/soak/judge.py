"""What the samples of a run say about growth. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stream_avs.soak.config import Bounds
from stream_avs.soak.sample import Sample, quantile_ms
from stream_avs.types import FRAME_DROPS

FEWEST = 6
"""With fewer samples after the warm-up nothing is said about growth."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One bound.

    Attributes:
        name: what is judged.
        found: the figure, with its unit.
        bound: the bound, in the same words.
        passed: None if the run was too short to tell.
    """

    name: str
    found: str
    bound: str
    passed: bool | None


def judge(samples: Sequence[Sample], bounds: Bounds, waiting: int = 48) -> list[Check]:
    """Hold a run against its bounds.

    Args:
        samples: of the whole run.
        bounds: see there.
        waiting: frames that may be on their way, neither mask nor drop: the slots of the frame ring.
    """
    if not samples:
        return [Check(name="samples", found="none", bound="some", passed=False)]
    warm = settled(samples, bounds)
    minutes = [s.at_s / 60 for s in warm]
    return [
        _memory("resident memory", minutes, [s.resident_mb for s in warm], bounds),
        _memory("heap", minutes, [s.heap_mb for s in warm], bounds),
        _count("open files", [s.files for s in warm], bounds.files_growth),
        _count("threads", [s.threads for s in warm], bounds.threads_growth),
        _age(warm, bounds),
        _silence(samples, bounds),
        _accounted(samples[-1], waiting),
    ]


def settled(samples: Sequence[Sample], bounds: Bounds) -> list[Sample]:
    """The samples after the warm-up."""
    from_s = min(bounds.warm_up_minutes * 60, samples[-1].at_s / 5)
    return [s for s in samples if s.at_s >= from_s]


def trend(at: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Start and end of the line through the points by Theil and Sen: the median of all slopes.

    Single outliers, however large, do not move it.
    """
    x, y = np.asarray(at, np.float64), np.asarray(values, np.float64)
    x, y = _thinned(x), _thinned(y)
    first, second = np.triu_indices(len(x), k=1)
    apart = x[second] > x[first]
    slopes = (y[second] - y[first])[apart] / (x[second] - x[first])[apart]
    slope = float(np.median(slopes)) if len(slopes) else 0.0
    base = float(np.median(y - slope * x))
    return base + slope * float(x[0]), base + slope * float(x[-1])


def age_spans_ms(warm: Sequence[Sample], bounds: Bounds) -> tuple[float, float]:
    """Age p99 of all masks of the first and of the last span."""
    span_s = min(bounds.span_minutes * 60, (warm[-1].at_s - warm[0].at_s) / 3)
    first = [s.age_bins for s in warm if s.at_s <= warm[0].at_s + span_s]
    last = [s.age_bins for s in warm if s.at_s > warm[-1].at_s - span_s]
    return quantile_ms(first, 0.99), quantile_ms(last, 0.99)


def others_busy(warm: Sequence[Sample]) -> float:
    """Processors that other processes kept busy, on average: they too make masks old."""
    return float(np.mean([max(0.0, s.machine_cores - s.cpu_cores) for s in warm])) if warm else 0.0


def _memory(name: str, minutes: list[float], values_mb: list[float], bounds: Bounds) -> Check:
    bound = f"at most {bounds.memory_growth:+.1%}"
    if len(values_mb) < FEWEST or not min(values_mb):
        return Check(name=name, found="too short to tell", bound=bound, passed=None)
    start_mb, end_mb = trend(minutes, values_mb)
    growth = end_mb / start_mb - 1
    found = f"{start_mb:.1f} to {end_mb:.1f} MB, {growth:+.2%}"
    return Check(name=name, found=found, bound=bound, passed=growth <= bounds.memory_growth)


def _count(name: str, values: list[int], most: int) -> Check:
    bound = f"at most {most:+d}"
    if len(values) < FEWEST:
        return Check(name=name, found="too short to tell", bound=bound, passed=None)
    third = len(values) // 3
    first, last = int(np.median(values[:third])), int(np.median(values[-third:]))
    return Check(name=name, found=f"{first} to {last}", bound=bound, passed=last - first <= most)


def _age(warm: Sequence[Sample], bounds: Bounds) -> Check:
    bound = f"at most {bounds.age_growth:+.0%}"
    first_ms, last_ms = age_spans_ms(warm, bounds) if len(warm) >= FEWEST else (math.nan, math.nan)
    if math.isnan(first_ms) or math.isnan(last_ms):
        return Check(name="age p99", found="too short to tell", bound=bound, passed=None)
    growth = last_ms / first_ms - 1
    found = f"{first_ms:.0f} to {last_ms:.0f} ms, {growth:+.1%}"
    return Check(name="age p99", found=found, bound=bound, passed=growth <= bounds.age_growth)


def _silence(samples: Sequence[Sample], bounds: Bounds) -> Check:
    longest_s = max(s.silence_s for s in samples)
    return Check(
        name="longest silence", found=f"{longest_s:.2f} s", bound=f"at most {bounds.silence_s:g} s",
        passed=longest_s <= bounds.silence_s,
    )  # fmt: skip


def _accounted(last: Sample, waiting: int) -> Check:
    drops = sum(n for name, n in last.events.items() if name in FRAME_DROPS)
    lost = last.frames - last.masks - drops
    return Check(
        name="frames without mask or reason", found=str(lost), bound=f"0 to {waiting} on their way",
        passed=0 <= lost <= waiting,
    )  # fmt: skip


def _thinned(values: np.ndarray) -> np.ndarray:
    """At most some hundred of them, evenly: the slopes of all pairs are as many as their square."""
    return values[:: max(1, len(values) // 500)]
