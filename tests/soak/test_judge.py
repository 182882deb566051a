from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_avs.soak.config import Bounds
from stream_avs.soak.judge import judge, trend
from stream_avs.soak.sample import Sample, bins_of, quantile_ms

BOUNDS = Bounds(span_minutes=10, warm_up_minutes=3)


def run_of(minutes: int = 60) -> list[Sample]:
    """A run in which nothing grows: a mask every 40 ms, with ages between 60 and 90 ms."""
    rng = np.random.default_rng(0)
    ages = [list(rng.uniform(60, 90, 250)) for _ in range(6 * minutes)]
    return [
        Sample(
            at_s=10.0 * (i + 1), frames=250 * (i + 1), masks=240 * (i + 1) - 2, received=240,
            masks_per_s=24.0, age_p50_ms=75.0, age_p99_ms=89.0, age_max_ms=90.0, age_bins=bins_of(some),
            silence_s=0.1, events={"superseded": 10 * (i + 1), "audio_late": 3}, source="live", rung="full",
            resident_mb=400.0 + rng.normal(), heap_mb=150.0 + rng.normal() / 10, files=12, threads=9,
            cpu_cores=1.0, machine_cores=1.2,
        )
        for i, some in enumerate(ages)
    ]  # fmt: skip


def broken(samples: list[Sample], bounds: Bounds = BOUNDS) -> list[str]:
    return [check.name for check in judge(samples, bounds) if check.passed is False]


def test_a_run_without_growth_passes_every_check() -> None:
    checks = judge(run_of(), BOUNDS)
    assert [check.passed for check in checks] == [True] * 7


def test_a_leak_of_two_per_cent_is_found_and_single_peaks_are_not_taken_for_one() -> None:
    leaking = [replace(s, resident_mb=s.resident_mb + 8 * i / 360) for i, s in enumerate(run_of())]
    assert broken(leaking) == ["resident memory"]
    peaks = [replace(s, resident_mb=900.0) if i % 5 == 4 else s for i, s in enumerate(run_of())]
    assert broken(peaks) == []


def test_what_grows_while_warming_up_is_left_out() -> None:
    assert broken([replace(s, heap_mb=10.0) if s.at_s < 180 else s for s in run_of()]) == []


def test_ages_of_the_last_ten_minutes_are_held_against_the_first() -> None:
    late = [replace(s, age_bins=bins_of(np.linspace(60, 105, 250))) if s.at_s > 3000 else s for s in run_of()]
    assert broken(late) == ["age p99"]
    assert broken(late, replace(BOUNDS, age_growth=0.2)) == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"files": 13}, "open files"),
        ({"threads": 10}, "threads"),
        ({"silence_s": 6.0}, "longest silence"),
        ({"masks": 0}, "frames without mask or reason"),
    ],
)
def test_what_changes_in_the_second_half_is_found(change: dict[str, float], name: str) -> None:
    samples = run_of()
    half = len(samples) // 2
    assert broken(samples[:half] + [replace(s, **change) for s in samples[half:]]) == [name]


def test_a_run_too_short_says_nothing_about_growth_and_an_empty_one_fails() -> None:
    assert [check.passed for check in judge(run_of()[:3], BOUNDS)] == [None] * 5 + [True] * 2
    assert broken([]) == ["samples"]


@given(start=st.floats(1, 1000), slope=st.floats(-5, 5), bad=st.sets(st.integers(0, 39), max_size=10))
def test_the_trend_is_that_of_the_line_whatever_a_quarter_of_the_points_say(
    start: float, slope: float, bad: set[int]
) -> None:
    x = np.arange(40.0)
    y = start + slope * x
    y[list(bad)] = 1e6
    first, last = trend(list(x), list(y))
    assert math.isclose(last - first, slope * 39, rel_tol=0.05, abs_tol=0.3 + 0.2 * abs(slope) * 39)


@given(st.lists(st.floats(0.01, 1e5), min_size=1, max_size=200), st.floats(0, 1))
def test_quantiles_from_bins_are_those_of_the_ages_to_one_per_cent(ages: list[float], q: float) -> None:
    half = len(ages) // 2
    found = quantile_ms([bins_of(ages[:half]), bins_of(ages[half:])], q)
    assert math.isclose(found, np.quantile(ages, q, method="lower"), rel_tol=0.01)


def test_no_ages_have_no_quantile() -> None:
    assert math.isnan(quantile_ms([{}], 0.99))
