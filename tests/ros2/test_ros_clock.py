"""ROS time to monotonic: wall clocks that are set, simulations that stop, race and start over."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream_avs.ledger import Ledger
from stream_avs.ros2.ros_clock import RosClock
from stream_avs.types import NS_PER_MS, NS_PER_S, Event


class Time:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.ns = 50 * NS_PER_S

    def __call__(self) -> int:
        return self.ns


@given(st.lists(st.integers(0, 5 * NS_PER_MS), min_size=3, max_size=60))
def test_wall_time_is_mapped_by_the_quickest_reading(delays_ns: list[int]) -> None:
    time, ledger = Time(), Ledger()
    clock = RosClock(ledger, clock=time)
    offset_ns = 1_700_000_000 * NS_PER_S
    for delay_ns in delays_ns:
        ros_ns = time.ns + offset_ns
        time.ns += delay_ns
        clock.observe(ros_ns)
        time.ns += 20 * NS_PER_MS
    assert clock.to_monotonic_ns(offset_ns) == min(delays_ns)
    assert clock.to_ros_ns(clock.to_monotonic_ns(offset_ns + 5)) == offset_ns + 5


def test_a_wall_clock_that_is_set_is_followed() -> None:
    time, ledger = Time(), Ledger()
    clock = RosClock(ledger, clock=time)
    for step_s in (0, 0, 0, 7, 7, 7, 7, 7):
        clock.observe(time.ns + step_s * NS_PER_S + 10**18)
        time.ns += 30 * NS_PER_MS
    assert clock.to_monotonic_ns(time.ns + 7 * NS_PER_S + 10**18) == time.ns
    assert ledger.counts() == {Event.CLOCK_SNAP: 1}


@given(st.floats(0.1, 10), st.integers(2, 50))
def test_simulated_time_keeps_distances_at_any_pace(pace: float, steps: int) -> None:
    time = Time()
    clock = RosClock(Ledger(), simulated=True, clock=time)
    assert not clock.ready
    converted = []
    for k in range(1, steps):
        ros_ns = k * 33 * NS_PER_MS
        assert clock.observe(ros_ns) is False
        converted.append((ros_ns, clock.to_monotonic_ns(ros_ns)))
        time.ns += round(33 * NS_PER_MS / pace)
    assert all(mono - ros == converted[0][1] - converted[0][0] for ros, mono in converted)


@given(st.lists(st.integers(1, 100 * NS_PER_S), min_size=2, max_size=30), st.integers(0, NS_PER_S))
def test_converted_times_grow_when_a_simulation_starts_over(ros_times: list[int], step_ns: int) -> None:
    time = Time()
    clock = RosClock(Ledger(), simulated=True, clock=time)
    newest_ns = 0
    for ros_ns in ros_times:
        restarted = clock.observe(ros_ns)
        converted_ns = clock.to_monotonic_ns(ros_ns)
        assert converted_ns > newest_ns - NS_PER_MS
        assert not restarted or converted_ns > newest_ns
        newest_ns = max(newest_ns, converted_ns)
        time.ns += step_ns


def test_no_time_yet_is_not_a_reading() -> None:
    clock = RosClock(Ledger(), simulated=True, clock=Time())
    assert clock.observe(0) is False
    assert not clock.ready
