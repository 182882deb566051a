from __future__ import annotations

import random

import pytest

from stream_avs.ledger import Ledger
from stream_avs.timing.wall_clock import STILL_NS, WallClock
from stream_avs.types import NS_PER_MS, NS_PER_S, Event

UNIX_NS = 1_700_000_000 * NS_PER_S


class Machine:
    """A monotonic clock, and a wall clock that can be set and runs a little fast."""

    def __init__(self, ppm: float = 0.0) -> None:
        self.now_ns = 0
        self.ahead_ns = 0.0
        self._ppm = ppm
        self._random = random.Random(0)

    def pass_s(self, seconds: float) -> None:
        self.now_ns += round(seconds * NS_PER_S)
        self.ahead_ns += seconds * NS_PER_S * self._ppm * 1e-6

    def monotonic_ns(self) -> int:
        return self.now_ns

    def offset_ns(self) -> int:
        return UNIX_NS + round(self.ahead_ns) + self._random.randint(-20_000, 20_000)


def clock_of(machine: Machine) -> tuple[WallClock, Ledger]:
    ledger = Ledger()
    return WallClock(ledger, machine.offset_ns, machine.monotonic_ns), ledger


def test_the_noise_of_reading_moves_nothing() -> None:
    machine = Machine()
    clock, ledger = clock_of(machine)
    offsets = set()
    for _ in range(1000):
        machine.pass_s(0.04)
        offsets.add(clock())
    assert len(offsets) == 1
    assert not ledger.counts()


@pytest.mark.parametrize("every_s", [0.04, 3600.0])
@pytest.mark.parametrize("ppm", [-500.0, 500.0])
def test_a_slewed_clock_is_followed_and_is_no_step(ppm: float, every_s: float) -> None:
    machine = Machine(ppm)
    clock, ledger = clock_of(machine)
    for _ in range(2000):
        machine.pass_s(every_s)
        assert abs(clock() - UNIX_NS - machine.ahead_ns) <= STILL_NS + 20_000
    assert not ledger.counts()


@pytest.mark.parametrize("step_s", [3600.0, -3600.0, 0.2, -0.2, 50 * 365 * 86400.0])
def test_a_clock_that_is_set_is_followed_at_once_and_counted(step_s: float) -> None:
    machine = Machine()
    clock, ledger = clock_of(machine)
    for _ in range(3):
        machine.pass_s(1)
        clock()
    machine.ahead_ns += step_s * NS_PER_S
    assert abs(clock() - UNIX_NS - step_s * NS_PER_S) < NS_PER_MS
    machine.pass_s(1)
    clock()
    assert ledger.counts() == {Event.WALL_CLOCK: 1}
    assert f"{step_s:+.1f} s" in ledger.recent()[-1].detail
