"""From runs to means, spreads and differences. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

from stream_avs.benchmarks.compare.results import RunResult

_T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Student's t, 97.5 %, for 1 to 9 degrees of freedom."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Some numbers summed up.

    Attributes:
        n: how many.
        mean: NaN without any.
        sd: standard deviation of a sample; NaN below two.
        low: the smallest.
        high: the largest.
    """

    n: int
    mean: float
    sd: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How much one entry exceeds another, seed by seed.

    Attributes:
        n: seeds that both have.
        mean: of the differences.
        margin: half the width of their 95 % interval (Student's t); infinite below two.
    """

    n: int
    mean: float
    margin: float

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return abs(self.mean) > self.margin


def spread(values: Iterable[float]) -> Spread:
    """Sum up; NaN is left out."""
    kept = [value for value in values if not math.isnan(value)]
    if not kept:
        return Spread(n=0, mean=math.nan, sd=math.nan, low=math.nan, high=math.nan)
    return Spread(
        n=len(kept), mean=fmean(kept), sd=stdev(kept) if len(kept) > 1 else math.nan, low=min(kept),
        high=max(kept),
    )  # fmt: skip


def difference(of: Mapping[int, float], reference: Mapping[int, float]) -> Difference:
    """Compare by seed; seeds that one side lacks, or where it is NaN, are left out."""
    pairs = [(of[seed], reference[seed]) for seed in sorted(of.keys() & reference.keys())]
    changes = [a - b for a, b in pairs if not math.isnan(a - b)]
    summed = spread(changes)
    margin = math.inf if summed.n < 2 else t_975(summed.n - 1) * summed.sd / math.sqrt(summed.n)
    return Difference(n=summed.n, mean=summed.mean, margin=margin)


def by_seed(runs: Sequence[RunResult], entry: str, key: str) -> dict[int, float]:
    """A score of one entry, by seed."""
    return {run.seed: run.scores.get(key, math.nan) for run in runs if run.entry == entry}


def t_975(freedom: int) -> float:
    """Student's t, 97.5 %; from 10 degrees of freedom by the first term of its expansion, within 0.01."""
    if freedom <= len(_T_975):
        return _T_975[freedom - 1]
    z = NormalDist().inv_cdf(0.975)
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
