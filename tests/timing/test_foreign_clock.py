"""ForeignClock: the offset is the smallest seen lately, and a step of the clock is followed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_avs.ledger import Ledger
from stream_avs.timing.foreign_clock import SNAP_READINGS, ForeignClock
from stream_avs.types import NS_PER_MS, NS_PER_S, Event

OFFSET = -1_700_000_000 * NS_PER_S  # of a wall clock


@given(st.lists(st.integers(0, 19 * NS_PER_MS), min_size=1, max_size=100))
def test_the_offset_is_the_minimum_of_the_window(delays_ns: list[int]) -> None:
    ledger = Ledger()
    clock = ForeignClock(ledger, window_s=1.0)
    for k, delay_ns in enumerate(delays_ns):
        now_ns = k * 100 * NS_PER_MS
        clock.observe(now_ns - OFFSET - delay_ns, now_ns)
        recent = delays_ns[max(0, k - 10) : k + 1]  # 1 s and both ends
        assert clock.offset_ns == OFFSET + min(recent)
    assert ledger.counts() == {}
    assert clock.to_monotonic_ns(5 - OFFSET) == 5 + min(recent)


@pytest.mark.parametrize("step_s", [-3600.0, -0.5, 0.5, 3600.0])
def test_a_step_is_followed_within_three_readings(step_s: float) -> None:
    ledger = Ledger()
    clock = ForeignClock(ledger)
    rng = np.random.default_rng(1)
    wrong = 0
    for k in range(1000):
        now_ns = k * 10 * NS_PER_MS
        offset = OFFSET + (round(step_s * NS_PER_S) if k >= 500 else 0)
        clock.observe(now_ns - offset - int(rng.integers(0, NS_PER_MS)), now_ns)
        wrong += abs(clock.offset_ns - offset) > NS_PER_MS
    assert wrong == (SNAP_READINGS - 1 if step_s > 0 else 0)
    assert ledger.counts() == {Event.CLOCK_SNAP: 1}


def test_a_slewed_clock_is_followed() -> None:
    """NTP may slew by 500 ppm."""
    ledger = Ledger()
    clock = ForeignClock(ledger)
    worst = 0.0
    for k in range(30_000):
        now_ns = k * 10 * NS_PER_MS
        offset = OFFSET + round(now_ns * 500e-6)
        clock.observe(now_ns - offset, now_ns)
        worst = max(worst, abs(clock.offset_ns - offset))
    assert worst <= 2.6 * NS_PER_MS
    assert ledger.counts() == {}


def test_single_late_readings_are_ignored() -> None:
    ledger = Ledger()
    clock = ForeignClock(ledger)
    for k in range(600):
        now_ns = k * 10 * NS_PER_MS
        late = 500 * NS_PER_MS if k % 3 else 0  # two of three: a very busy machine
        clock.observe(now_ns - OFFSET - late, now_ns)
        assert clock.offset_ns == OFFSET
    assert ledger.counts() == {}


def test_nothing_is_known_before_the_first_reading() -> None:
    clock = ForeignClock(Ledger())
    assert not clock.ready
    with pytest.raises(LookupError, match="not been read"):
        clock.to_monotonic_ns(0)
    clock.observe(10, 30)
    assert clock.ready
    assert clock.offset_ns == 20
