from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_avs.calibration.edge_fit import EdgeModel, Sampled, fit_edge, ramp

PERIOD_S = 1 / 30


def sampled(
    shift_s: float, width_s: float, count: int, seed: int, anchor: float = 0.5, bend: float = 1.0
) -> list[Sampled]:
    """Events seen through a ramp, each at a phase of its own."""
    random = np.random.default_rng(seed)
    events = []
    for _ in range(count):
        x_s = -shift_s + (np.arange(-3, 4) + random.uniform(-0.5, 0.5)) * PERIOD_S
        values = ramp(x_s + shift_s, width_s, anchor, bend) + random.normal(0, 0.02, len(x_s))
        events.append(Sampled(x_s=x_s, values=values))
    return events


@settings(deadline=None, max_examples=20)
@given(
    shift_s=st.floats(-0.3, 0.3),
    width_share=st.floats(0.1, 1.2),
    anchor=st.sampled_from([0.5, 1.0]),
    bend=st.sampled_from([0.45, 1.0, 2.2]),
    off_share=st.floats(-0.4, 0.4),
    seed=st.integers(0, 1000),
)
def test_shift_is_found_whatever_the_ramp(
    shift_s: float, width_share: float, anchor: float, bend: float, off_share: float, seed: int
) -> None:
    events = sampled(shift_s, width_share * PERIOD_S, 20, seed, anchor, bend)
    model = EdgeModel(anchor=anchor, widest_s=1.5 * PERIOD_S)
    fit = fit_edge(events, model, near_s=shift_s + off_share * PERIOD_S, reach_s=1.5 * PERIOD_S)
    assert abs(fit.shift_s - shift_s) <= 0.004
    # The ramps tried differ in width by a fifth or so, which is worth up to a millisecond.
    assert abs(fit.shift_s - shift_s) <= 5 * fit.std_error_s + 0.001


def test_width_is_that_of_the_ramp() -> None:
    events = sampled(0.1, 0.02, 40, 0)
    fit = fit_edge(events, EdgeModel(anchor=0.5, widest_s=0.05), near_s=0.1, reach_s=0.05)
    assert fit.width_s == pytest.approx(0.02, rel=0.3)
    assert fit.bend == 1.0


def test_one_phase_only_is_uncertain_by_the_frame_period() -> None:
    x_s = np.arange(-3, 4) * PERIOD_S + 0.01
    events = [Sampled(x_s=x_s, values=(x_s >= 0).astype(float)) for _ in range(30)]
    fit = fit_edge(events, EdgeModel(anchor=0.5, widest_s=PERIOD_S), near_s=0.0, reach_s=2 * PERIOD_S)
    assert 0.15 * PERIOD_S < fit.std_error_s < 0.3 * PERIOD_S


def test_more_events_are_surer() -> None:
    model = EdgeModel(anchor=0.5, widest_s=PERIOD_S)
    errors_s = [
        fit_edge(sampled(0.0, 0.005, n, 3), model, near_s=0.0, reach_s=0.05).std_error_s for n in (3, 12, 48)
    ]
    assert errors_s[0] > errors_s[1] > errors_s[2]


def test_stray_events_pull_little_and_stand_out() -> None:
    events = sampled(0.05, 0.01, 15, 1) + sampled(0.08, 0.01, 3, 2)
    fit = fit_edge(events, EdgeModel(anchor=0.5, widest_s=PERIOD_S), near_s=0.05, reach_s=0.05)
    assert fit.shift_s == pytest.approx(0.05, abs=0.003)
    assert np.abs(fit.each_s[-3:] - fit.shift_s).min() > np.abs(fit.each_s[:15] - fit.shift_s).mean() + 0.008


def test_same_data_same_answer() -> None:
    events = sampled(0.0, 0.01, 10, 5)
    model = EdgeModel(anchor=0.5, widest_s=PERIOD_S)
    first, again = (fit_edge(events, model, near_s=0.0, reach_s=0.05) for _ in range(2))
    assert (first.shift_s, first.std_error_s) == (again.shift_s, again.std_error_s)
