"""ClockFilter: bounded stamp error under drift, jitter, bursts and lies, and stamps that never step back."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_avs.ledger import Ledger
from stream_avs.timing.clock_filter import ClockFilter, Noise
from stream_avs.types import NS_PER_MS, NS_PER_S, Event

RATE = 48_000
BLOCK = 960  # 20 ms
T0 = 1_000 * NS_PER_S


def truth(index: int, ppm: float) -> float:
    return T0 + index * 1e9 / (RATE * (1 + ppm * 1e-6))


def indices(duration_s: float) -> range:
    return range(0, round(duration_s * RATE), BLOCK)


class Run:
    """Feeds a filter and keeps, per block, the time and the error of its stamp."""

    def __init__(self, noise: Noise, **settings: float) -> None:
        self.ledger = Ledger()
        self.filter = ClockFilter(RATE, ledger=self.ledger, noise=noise, **settings)
        self.seconds: list[float] = []
        self.errors_ms: list[float] = []
        self.steps_back = 0
        self._last = (-1, -1, 0)

    def feed(self, index: int, reading_ns: float, true_ns: float) -> None:
        self.filter.update(index, round(reading_ns))
        stamp_ns = self.filter.stamp_ns(index)
        last_index, last_ns, snaps = self._last
        if index > last_index and stamp_ns <= last_ns and snaps == self.filter.snaps:
            self.steps_back += 1
        self._last = (index, stamp_ns, self.filter.snaps)
        self.seconds.append(index / RATE)
        self.errors_ms.append((stamp_ns - true_ns) / NS_PER_MS)

    def worst_ms(self, from_s: float, to_s: float = 1e9) -> float:
        seconds = np.array(self.seconds)
        chosen = np.array(self.errors_ms)[(seconds >= from_s) & (seconds < to_s)]
        return float(np.abs(chosen).max())


def delays(rng: np.random.Generator) -> Iterator[float]:
    """Arrivals of a sound server: blocks come in bursts, each burst late by a little."""
    while True:
        burst = int(rng.integers(1, 11))
        late = rng.exponential(0.003 * NS_PER_S)
        for k in range(burst):
            yield late + (burst - 1 - k) * 0.020 * NS_PER_S


@pytest.mark.parametrize("ppm", [-200, 0, 200])
def test_ten_minutes_of_jitter_and_outliers(ppm: int) -> None:
    rng = np.random.default_rng(ppm + 1000)
    run = Run(Noise.SYMMETRIC)
    outliers = 0
    for index in indices(600):
        true = truth(index, ppm)
        reading = true + rng.normal() * 0.5 * NS_PER_MS
        if index and rng.random() < 0.02:
            reading = true + rng.uniform(0.06, 0.6) * NS_PER_S * rng.choice((-1, 1))
            outliers += 1
        run.feed(index, reading, true)
    assert run.worst_ms(0, 30) < 1.5
    assert run.worst_ms(30) < 0.25
    assert run.filter.drift_ppm == pytest.approx(ppm, abs=10)
    assert run.steps_back == 0
    assert run.ledger.counts() == {Event.CLOCK_OUTLIER: outliers}


def test_a_wrong_first_reading_costs_little() -> None:
    run = Run(Noise.SYMMETRIC)
    for index in indices(10):
        true = truth(index, 0)
        run.feed(index, true + (0 if index else 0.3 * NS_PER_S), true)
    assert run.worst_ms(0.2) < 0.01
    assert run.filter.snaps == 1


@pytest.mark.parametrize("ppm", [-200, 0, 200])
def test_ten_minutes_of_arrivals_in_bursts(ppm: int) -> None:
    rng = np.random.default_rng(ppm + 2000)
    run = Run(Noise.DELAY)
    for index, delay in zip(indices(600), delays(rng), strict=False):
        true = truth(index, ppm)
        run.feed(index, true + delay, true)
    assert run.worst_ms(10, 30) < 3
    assert run.worst_ms(30) < 0.7
    assert run.filter.drift_ppm == pytest.approx(ppm, abs=40)
    assert run.steps_back == 0
    assert Event.CLOCK_OUTLIER not in run.ledger.counts()


def test_a_server_that_lies_for_its_first_seconds_and_then_tells_the_truth() -> None:
    """As a PulseAudio null sink does: capture times off by -596 ms, then right to 0.03 ms."""
    rng = np.random.default_rng(5)
    run = Run(Noise.SYMMETRIC)
    for index in indices(20):
        true = truth(index, 30)
        lie = -0.596 * NS_PER_S if index < 3 * RATE else 0.0
        run.feed(index, true + lie + rng.normal() * 0.03 * NS_PER_MS, true)
    assert run.worst_ms(0, 3) > 500
    assert run.worst_ms(4.1) < 0.3
    assert run.filter.snaps == 1
    assert run.ledger.counts()[Event.CLOCK_SNAP] == 1
    assert run.steps_back == 0


def test_lost_samples_make_the_clock_start_over() -> None:
    """The device drops 100 ms: the sample count falls behind the clock and stays there."""
    for noise in Noise:
        run = Run(noise)
        for index in indices(30):
            true = truth(index, 0) + (0.1 * NS_PER_S if index > 10 * RATE else 0)
            run.feed(index, true, true)
        assert run.filter.snaps == 1, noise
        assert run.worst_ms(0, 10) < 0.01
        assert run.worst_ms(11.5) < 0.01


def test_a_stall_and_its_backlog_do_not_move_an_arrival_clock() -> None:
    """The process sleeps for 3 s, then 3 s of blocks arrive at once."""
    run = Run(Noise.DELAY)
    for index in indices(30):
        true = truth(index, 0)
        wake = truth(13 * RATE, 0)
        stalled = 10 * RATE <= index < 13 * RATE
        run.feed(index, wake if stalled else true + NS_PER_MS, true)
    assert run.filter.snaps == 0
    assert run.worst_ms(5) < 1.1


def test_wild_readings_that_do_not_agree_are_coasted_over() -> None:
    rng = np.random.default_rng(7)
    run = Run(Noise.SYMMETRIC)
    for index in indices(40):
        true = truth(index, 50)
        wild = 15 * RATE <= index < 25 * RATE
        run.feed(index, true + rng.uniform(0.2, 3) * NS_PER_S * wild, true)
    assert run.filter.snaps == 0
    assert run.worst_ms(10) < 0.3


def test_warm_up_uses_the_nominal_rate() -> None:
    run = Run(Noise.SYMMETRIC)
    for index in indices(1.8):
        run.feed(index, truth(index, 500), truth(index, 500))
        assert not run.filter.ready
        assert run.filter.drift_ppm == 0
    for index in range(indices(1.8).stop, 5 * RATE, BLOCK):
        run.feed(index, truth(index, 500), truth(index, 500))
    assert run.filter.ready
    assert run.filter.drift_ppm == pytest.approx(500, rel=0.02)


def test_a_young_line_is_not_led_astray_by_noise() -> None:
    """With 3 ms of jitter, 2 s of readings say little about the drift: it is believed step by step."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        run = Run(Noise.SYMMETRIC)
        for index in indices(8):
            true = truth(index, 0)
            run.feed(index, true + rng.normal() * 3 * NS_PER_MS, true)
            assert abs(run.filter.drift_ppm) < 250
        assert run.worst_ms(3) < 2


def test_presentation_ticks_out_of_order_are_welcome() -> None:
    """Packets of a stream with B-frames: 90 kHz ticks, not in order."""
    clock = ClockFilter(90_000, ledger=Ledger(), noise=Noise.DELAY)
    for group in range(0, 300, 3):
        for frame in (group + 2, group, group + 1):
            clock.update(frame * 3000, T0 + frame * 33_333_333 + 2 * NS_PER_MS)
    assert clock.stamp_ns(299 * 3000) - T0 == pytest.approx(299 * 33_333_333 + 2 * NS_PER_MS, abs=NS_PER_MS)


def test_a_reading_that_comes_again_after_its_bin_does_no_harm() -> None:
    clock = ClockFilter(1000, ledger=Ledger(), noise=Noise.DELAY)
    for k in range(0, 10_000, 10):
        early = 0 if k % 500 == 490 else 3 * NS_PER_MS
        clock.update(k, T0 + k * NS_PER_MS + early)
        if k % 500 == 0 and k:
            clock.update(k - 10, T0 + (k - 10) * NS_PER_MS)
    assert clock.stamp_ns(9990) == pytest.approx(T0 + 9990 * NS_PER_MS, abs=NS_PER_MS / 10)


def test_nothing_is_known_before_the_first_reading() -> None:
    clock = ClockFilter(RATE, ledger=Ledger())
    with pytest.raises(LookupError, match="not been read"):
        clock.stamp_ns(0)
    with pytest.raises(ValueError, match="rate_hz is 0"):
        ClockFilter(0, ledger=Ledger())


def _symmetric(rng: np.random.Generator) -> float:
    return float(rng.normal() * 4 * NS_PER_MS)


def _late(rng: np.random.Generator) -> float:
    return float(rng.exponential(0.02) * NS_PER_S)


@given(
    seed=st.integers(0, 10_000),
    noise=st.sampled_from([(Noise.SYMMETRIC, _symmetric), (Noise.DELAY, _late)]),
    ppm=st.floats(-900, 900),
    block=st.integers(1, 4000),
    ahead=st.integers(0, 4000),
)
@settings(max_examples=60, deadline=None)
def test_stamps_grow_strictly_between_snaps(
    seed: int, noise: tuple[Noise, Callable[[np.random.Generator], float]], ppm: float, block: int, ahead: int
) -> None:
    """Whatever the noise, and even where a later tick was asked for before the line was moved."""
    rng = np.random.default_rng(seed)
    clock = ClockFilter(RATE, ledger=Ledger(), noise=noise[0])
    asked, last_ns, snaps = -1, 0, 0
    for k in range(300):
        clock.update(k * block, round(truth(k * block, ppm) + noise[1](rng)))
        if clock.snaps != snaps:
            asked, snaps = -1, clock.snaps
        for index in (k * block, k * block + ahead // 2, k * block + ahead):
            if index > asked:
                stamp_ns = clock.stamp_ns(index)
                assert asked < 0 or stamp_ns > last_ns
                asked, last_ns = index, stamp_ns
