"""Means, spreads and paired differences."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from stream_avs.benchmarks.compare.aggregate import by_seed, difference, spread, t_975
from stream_avs.benchmarks.compare.results import RunResult

SHARES = st.floats(0, 1)
BY_SEED = st.dictionaries(st.integers(0, 9), SHARES, max_size=8)


@given(st.lists(SHARES, min_size=1))
def test_the_mean_lies_within(values: list[float]) -> None:
    summed = spread(values)
    assert summed.n == len(values)
    assert summed.low - 1e-9 <= summed.mean <= summed.high + 1e-9
    assert math.isnan(summed.sd) == (len(values) == 1)


def test_what_was_not_measured_is_left_out() -> None:
    assert spread([0.25, math.nan, 0.75]).mean == 0.5
    assert spread([math.nan]).n == 0


@given(BY_SEED, BY_SEED)
def test_turned_round_a_difference_changes_its_sign(a: dict[int, float], b: dict[int, float]) -> None:
    one, other = difference(a, b), difference(b, a)
    assert one.n == other.n == len(a.keys() & b.keys())
    if one.n:
        assert one.mean == pytest.approx(-other.mean)
        assert one.margin == pytest.approx(other.margin)


@given(st.dictionaries(st.integers(0, 9), SHARES, min_size=2), st.floats(-0.5, 0.5))
def test_what_all_seeds_share_has_no_margin(values: dict[int, float], shift: float) -> None:
    found = difference({seed: value + shift for seed, value in values.items()}, values)
    assert found.mean == pytest.approx(shift, abs=1e-9)
    assert found.margin == pytest.approx(0, abs=1e-6)


@given(st.lists(st.tuples(SHARES, SHARES), min_size=3, max_size=20).filter(lambda p: len(set(p)) > 2))
def test_the_margin_is_students(pairs: list[tuple[float, float]]) -> None:
    changes = [a - b for a, b in pairs]
    found = difference(dict(enumerate(a for a, _ in pairs)), dict(enumerate(b for _, b in pairs)))
    expected = stats.t.ppf(0.975, len(changes) - 1) * stats.sem(changes)
    assert found.margin == pytest.approx(expected, rel=5e-3, abs=1e-9)


@pytest.mark.parametrize("freedom", [1, 2, 9, 10, 15, 30, 1000])
def test_students_t(freedom: int) -> None:
    assert t_975(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=0.01)


def test_one_seed_says_nothing() -> None:
    assert not difference({0: 1.0}, {0: 0.0}).clear


def test_scores_by_seed() -> None:
    runs = [
        RunResult(entry=e, seed=s, steps=1, best_step=1, train_cpu_s=0, scores={"j": v}, counts={})
        for e, s, v in (("a", 0, 0.1), ("b", 0, 0.2), ("a", 1, 0.3))
    ]
    assert by_seed(runs, "a", "j") == {0: 0.1, 1: 0.3}
    assert math.isnan(by_seed(runs, "b", "f")[0])
