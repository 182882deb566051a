from __future__ import annotations

import threading

import pytest
from recording_sink import RecordingSink

from stream_avs.capture.reconnect import STEADY_NS, Reconnect
from stream_avs.config import ReconnectConfig
from stream_avs.errors import SourceLostError
from stream_avs.types import NS_PER_S, Event, SourceState

QUICK = ReconnectConfig(first_s=0.01, most_s=0.02)


class Time:
    def __init__(self) -> None:
        self.ns = 10 * NS_PER_S

    def __call__(self) -> int:
        return self.ns


def test_it_is_tried_until_it_is_back_and_the_sink_is_told() -> None:
    sink, time = RecordingSink(), Time()
    reconnect = Reconnect("camera 0", QUICK, sink, time)
    tries = 0
    for _ in reconnect.attempts("lost camera 0", threading.Event()):
        tries += 1
        time.ns += NS_PER_S
        if tries == 3:
            assert reconnect.back() == time.ns
    assert tries == 3
    assert sink.states == [(SourceState.RECONNECTING, "lost camera 0"), (SourceState.LIVE, "")]
    assert [(event, text) for event, _, text in sink.events] == [
        (Event.DISCONTINUITY, "lost camera 0"),
        (Event.RECONNECT, "camera 0 was away for 3.0 s"),
    ]


def test_it_gives_up_as_configured() -> None:
    sink, time = RecordingSink(), Time()
    config = ReconnectConfig(first_s=0.01, most_s=0.02, give_up_after_s=5)
    attempts = Reconnect("camera 0", config, sink, time).attempts("lost", threading.Event())
    for _ in range(3):
        next(attempts)
        time.ns += 2 * NS_PER_S
    with pytest.raises(SourceLostError, match="camera 0 has not come back for 5 s") as caught:
        next(attempts)
    assert caught.value.exit_code == 3


def test_stop_ends_the_attempts() -> None:
    stop = threading.Event()
    stop.set()
    assert list(Reconnect("camera 0", QUICK, RecordingSink(), Time()).attempts("lost", stop)) == []


def test_one_that_flaps_is_called_less_and_less_often_and_a_steady_one_at_once() -> None:
    time = Time()
    reconnect = Reconnect("camera 0", ReconnectConfig(first_s=0.01, most_s=5), RecordingSink(), time)

    def lose() -> float:
        delay_s = reconnect._backoff.next_s
        for _ in reconnect.attempts("lost", threading.Event()):
            reconnect.back()
        return delay_s

    flapping = [lose() for _ in range(4)]
    assert flapping == pytest.approx([0.01, 0.02, 0.04, 0.08])
    time.ns += STEADY_NS + 1
    lose()
    assert reconnect._backoff.next_s == pytest.approx(0.02), "it began anew"
