"""The overload ladder under a simulated clock: a camera, one network, the freshest frame wins."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_avs.config import OverloadConfig
from stream_avs.engine.overload import FULL, HALF, HOLD, SMALL, Action, Ladder
from stream_avs.types import NS_PER_MS, NS_PER_S

CONFIG = OverloadConfig(age_budget_s=0.3, judge_s=1.0, climb_s=5.0)
PERIOD_NS = NS_PER_S // 25
Load = Callable[[float, bool], float]
"""Time in s and whether the input is the smaller one -> ms of a step."""


@dataclass
class Run:
    """What happened: (time in s, rung) of every move, and every action."""

    ladder: Ladder
    moves: list[tuple[float, str]] = field(default_factory=list)
    actions: list[tuple[float, Action]] = field(default_factory=list)
    ages_ms: list[tuple[float, float]] = field(default_factory=list)


def simulate(load: Load, seconds: float, *, smaller: bool = True, run: Run | None = None) -> Run:
    """Serve the newest frame whenever the network is free."""
    run = run or Run(Ladder(CONFIG, smaller=smaller))
    now_ns, served = 0, -1
    while now_ns < seconds * NS_PER_S:
        frame = now_ns // PERIOD_NS
        if frame == served:
            now_ns = (frame + 1) * PERIOD_NS
            continue
        served, arrival_ns, at_s = frame, frame * PERIOD_NS, now_ns / NS_PER_S
        action = run.ladder.choose(now_ns)
        run.actions.append((at_s, action))
        if action is Action.STEP:
            rung = run.ladder.rung
            now_ns += round(load(at_s, rung.small or rung.hold) * NS_PER_MS)
            age_ms = (now_ns - arrival_ns) / NS_PER_MS
            run.ages_ms.append((at_s, age_ms))
            if run.ladder.observe(age_ms, now_ns):
                run.moves.append((at_s, run.ladder.rung.name))
        else:
            now_ns += NS_PER_MS
    return run


def test_a_network_that_keeps_up_is_left_alone() -> None:
    run = simulate(lambda at, small: 30, 60)
    assert run.moves == []
    assert all(action is Action.STEP for _, action in run.actions)


def test_slow_but_in_time_is_not_overload() -> None:
    assert simulate(lambda at, small: 120, 60).moves == []


def test_it_goes_down_rung_by_rung_and_stops_where_masks_are_in_time() -> None:
    run = simulate(lambda at, small: 100 if small else 500, 20)
    assert [name for _, name in run.moves[:2]] == [HALF.name, SMALL.name]
    assert run.moves[1][0] < 6
    in_time = [age <= 300 for at, age in run.ages_ms if at > 6]
    assert sum(in_time) > 0.8 * len(in_time)
    assert HOLD.name not in [name for _, name in run.moves]


def test_when_nothing_helps_the_last_mask_is_held_and_the_network_only_probed() -> None:
    run = simulate(lambda at, small: 2000, 60)
    assert run.ladder.rung is HOLD
    late = [action for at, action in run.actions if at > 30]
    assert late.count(Action.HOLD) > 10 * late.count(Action.STEP)
    assert late.count(Action.STEP) >= 4


def test_it_climbs_back_to_full_rate_after_the_load_is_gone() -> None:
    run = simulate(lambda at, small: 2000 if at < 20 else 20, 60)
    assert run.ladder.rung is FULL
    names = [name for _, name in run.moves]
    assert names[names.index(HOLD.name) :] == [HOLD.name, SMALL.name, HALF.name, FULL.name]


def test_a_late_mask_now_and_then_does_not_hold_the_stream_for_ever() -> None:
    """A machine with other work: one step in four takes most of the budget, one in sixteen too long."""
    steps = itertools.count()

    def load(at: float, small: bool) -> float:
        if at < 5:
            return 900
        k = next(steps) % 16
        return 400 if k == 0 else 220 if k % 4 == 0 else 100

    run = simulate(load, 300)
    assert HOLD.name in [rung for _, rung in run.moves]
    held = sum(action is Action.HOLD for at, action in run.actions if at > 60)
    assert held < 0.1 * sum(at > 60 for at, _ in run.actions)


def test_without_a_smaller_input_that_rung_is_left_out() -> None:
    run = simulate(lambda at, small: 2000, 30, smaller=False)
    assert SMALL.name not in [name for _, name in run.moves]
    assert run.ladder.rung is HOLD


def test_a_rung_that_fails_is_tried_less_and_less_often() -> None:
    run = simulate(lambda at, small: 60 if small else 500, 300)
    climbs = [at for at, name in run.moves if name == HALF.name and at > 5]
    gaps = [b - a for a, b in itertools.pairwise(climbs)]
    assert 3 <= len(climbs) <= 8
    assert gaps[1] > 1.5 * gaps[0]
    assert max(gaps) < 70


def test_half_rate_makes_every_other_mask() -> None:
    ladder = Ladder(CONFIG)
    ladder.choose(0)
    ladder.observe(900, NS_PER_S)
    ladder.observe(900, 2 * NS_PER_S)
    assert ladder.rung is HALF
    actions = [ladder.choose(3 * NS_PER_S + i) for i in range(6)]
    assert actions == [Action.SKIP, Action.STEP] * 3


loads = st.lists(st.tuples(st.floats(1, 15), st.floats(5, 3000), st.floats(0.2, 1)), min_size=1, max_size=6)


@settings(deadline=None, max_examples=60)
@given(loads, st.booleans())
def test_whatever_the_load_was_a_calm_stream_ends_at_full_rate(
    phases: list[tuple[float, float, float]], smaller: bool
) -> None:
    """Phases of (seconds, ms a step, share of it with the smaller input), then calm."""

    def load(at_s: float, small: bool) -> float:
        for length_s, step_ms, share in phases:
            if at_s < length_s:
                return step_ms * (share if small else 1)
            at_s -= length_s
        return 10

    busy_s = sum(length_s for length_s, _, _ in phases)
    run = simulate(load, busy_s + 3 * 62 + 10, smaller=smaller)
    assert run.ladder.rung is FULL
    assert len(run.moves) <= 2 + 2 * busy_s  # a rung is judged for a second: no swinging
    assert all(name in {FULL.name, HALF.name, SMALL.name, HOLD.name} for _, name in run.moves)


@given(st.floats(0.01, 1), st.integers(1, 400))
@settings(deadline=None, max_examples=40)
def test_a_step_is_never_more_than_the_probe_time_away(budget_s: float, step_ms: int) -> None:
    run = simulate(
        lambda at, small: step_ms, 15, run=Run(Ladder(OverloadConfig(age_budget_s=budget_s), smaller=True))
    )
    steps = [at for at, action in run.actions if action is Action.STEP]
    assert (
        max(b - a for a, b in itertools.pairwise(steps))
        <= max(1.0, 2 * (step_ms / 1000 + 0.05)) + step_ms / 1000 + 0.1
    )


@pytest.mark.parametrize("name", ["age_budget_s", "judge_s", "climb_s"])
def test_settings_out_of_range_are_refused(name: str) -> None:
    with pytest.raises(Exception, match=f"overload.{name}"):
        OverloadConfig(**{name: -1.0})
