"""Learning rate over a run."""

from __future__ import annotations

import pytest

from stream_avs.errors import ConfigError
from stream_avs.training.schedule import Decay, ScheduleConfig, learning_rate


def test_paper_keeps_one_rate() -> None:
    assert {learning_rate(ScheduleConfig(), step, 100) for step in range(100)} == {2e-5}


def test_rises_linearly_and_falls_as_a_cosine() -> None:
    config = ScheduleConfig(learning_rate=1.0, warmup_steps=10, decay=Decay.COSINE)
    rates = [learning_rate(config, step, 110) for step in range(110)]
    assert rates[:10] == pytest.approx([0.1 * k for k in range(1, 11)])
    assert rates[10] == 1.0
    assert rates[60] == pytest.approx(0.5)
    assert rates[109] == pytest.approx(0.0, abs=1e-3)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"schedule\.learning_rate"):
        ScheduleConfig(learning_rate=0.0)
