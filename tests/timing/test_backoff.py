from __future__ import annotations

import itertools
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_avs.config import BackoffConfig, ReconnectConfig
from stream_avs.errors import ConfigError
from stream_avs.timing.backoff import Backoff


class Sleeper(threading.Event):
    """An event that is never set and notes how long it is waited for, without waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.slept_s: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.slept_s.append(timeout or 0.0)
        return True  # as if it had been set meanwhile: ends the wait


@given(
    config=st.builds(
        BackoffConfig,
        first_s=st.floats(0.01, 2),
        factor=st.floats(1.1, 4),
        most_s=st.floats(1, 60),
        jitter=st.floats(0, 1),
    ),
    draws=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=30),
)
def test_delays_grow_to_their_limit_and_jitter_only_shortens_them(
    config: BackoffConfig, draws: list[float]
) -> None:
    numbers = iter(draws)
    backoff = Backoff(config, lambda: next(numbers))
    longest = []
    for draw in draws:
        longest.append(backoff.next_s)
        stop = Sleeper()
        assert not backoff.wait(stop)
        wanted_s = longest[-1] * (1 - config.jitter * draw)
        assert sum(stop.slept_s) <= wanted_s + 1e-9
        assert not stop.slept_s or stop.slept_s[0] == pytest.approx(wanted_s, abs=0.01)
    assert longest[0] == min(config.first_s, config.most_s)
    assert all(
        b == pytest.approx(min(a * config.factor, config.most_s)) for a, b in itertools.pairwise(longest)
    )
    backoff.reset()
    assert backoff.next_s == longest[0]


def test_it_waits_its_delay_and_not_when_stopped() -> None:
    stop = threading.Event()
    backoff = Backoff(BackoffConfig(first_s=0.05, jitter=0))
    begun_s = time.monotonic()
    assert backoff.wait(stop)
    assert time.monotonic() - begun_s >= 0.05
    stop.set()
    assert not Backoff(BackoffConfig(first_s=60, most_s=60)).wait(stop)
    assert time.monotonic() - begun_s < 5


def test_a_reason_to_try_sooner_ends_the_delay() -> None:
    looks = iter([False, True])
    begun_s = time.monotonic()
    assert Backoff(BackoffConfig(first_s=30, most_s=30)).wait(threading.Event(), lambda: next(looks))
    assert time.monotonic() - begun_s < 5


@pytest.mark.parametrize(
    "wrong", [{"first_s": 0}, {"factor": 0.5}, {"most_s": 0}, {"jitter": 2}, {"give_up_after_s": -1}]
)
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"reconnect.{next(iter(wrong))}"):
        ReconnectConfig(**wrong)
