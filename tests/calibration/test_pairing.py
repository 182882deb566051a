from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_avs.calibration.pairing import pair_events

TOLERANCE_S = 0.03


def uneven(count: int, seed: int) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).uniform(0.9, 1.9, count))


@settings(deadline=None, max_examples=40)
@given(
    shift_s=st.floats(-0.45, 0.45),
    missing=st.sets(st.integers(0, 19), max_size=6),
    false=st.lists(st.floats(0, 30), max_size=8),
    seed=st.integers(0, 1000),
)
def test_true_pairs_are_found_among_false_ones(
    shift_s: float, missing: set[int], false: list[float], seed: int
) -> None:
    picture_s = uneven(20, seed)
    noise_s = np.random.default_rng(seed + 1).uniform(-0.01, 0.01, 20)
    sound = [(t + shift_s + e, i) for i, (t, e) in enumerate(zip(picture_s, noise_s, strict=True))]
    sound = sorted([s for s in sound if s[1] not in missing] + [(t, -1) for t in false])
    found = pair_events(picture_s, np.array([t for t, _ in sound]), max_shift_s=0.5, tolerance_s=TOLERANCE_S)
    assert abs(found.shift_s - shift_s) < 0.015
    right = sum(sound[s][1] == p for p, s in found.pairs)
    assert right >= 20 - len(missing) - len(false)
    assert found.runner_up < len(found.pairs)


def test_pairs_are_one_to_one() -> None:
    picture_s = np.array([1.0, 1.02, 3.0])
    found = pair_events(picture_s, np.array([1.11, 3.1, 3.11]), max_shift_s=0.5, tolerance_s=TOLERANCE_S)
    assert len(found.pairs) == 2
    assert len({p for p, _ in found.pairs}) == len({s for _, s in found.pairs}) == 2


def test_regular_events_have_a_runner_up_one_period_away() -> None:
    times_s = np.arange(1, 21) * 0.5
    found = pair_events(times_s, times_s + 0.1, max_shift_s=0.5, tolerance_s=TOLERANCE_S)
    assert found.runner_up == len(found.pairs) - 1 == 19
    assert abs(found.shift_s - found.runner_up_shift_s) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(("pictures", "sounds"), [([], []), ([1.0], []), ([], [1.0]), ([1.0], [9.0])])
def test_nothing_to_pair(pictures: list[float], sounds: list[float]) -> None:
    found = pair_events(np.array(pictures), np.array(sounds), max_shift_s=0.5, tolerance_s=TOLERANCE_S)
    assert found.pairs == ()
