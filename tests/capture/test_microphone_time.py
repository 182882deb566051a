from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recording_sink import RecordingSink

from stream_avs.capture.microphone_time import MicrophoneTime
from stream_avs.capture.sample_queue import Captured
from stream_avs.types import NS_PER_S, Event, StampSource

RATE_HZ, BLOCK = 16000, 320
BEGIN_NS = 100 * NS_PER_S


class Device:
    """A microphone whose truth is known.

    Args:
        ppm: by how much its clock is fast.
        epoch_s: its stream time minus monotonic time.
        seed: of the jitter of callbacks and capture times.
    """

    def __init__(self, *, ppm: float = 0, epoch_s: float = 1.7e9, seed: int = 0, adc: bool = True) -> None:
        self._seconds_per_sample = 1 / (RATE_HZ * (1 + ppm * 1e-6))
        self._epoch_s = epoch_s
        self._random = np.random.default_rng(seed)
        self._adc = adc
        self._taken = 0

    def lose(self, samples: int) -> None:
        self._taken += samples

    def block(
        self, *, adc_error_s: float = 0.0, lost: int = 0, overflowed: bool = False
    ) -> tuple[Captured, int]:
        """The next block, and the true monotonic time of its first sample."""
        true_s = BEGIN_NS / NS_PER_S + self._taken * self._seconds_per_sample
        self._taken += BLOCK
        called_s = true_s + BLOCK * self._seconds_per_sample + 0.002 + self._random.exponential(0.008)
        adc_s = true_s + self._epoch_s + self._random.normal(0, 0.0003) + adc_error_s
        captured = Captured(
            samples=np.zeros((BLOCK, 1), np.float32),
            adc_s=adc_s if self._adc else 0.0,
            stream_s=called_s + self._epoch_s - self._random.exponential(0.00005),
            called_ns=round(called_s * NS_PER_S),
            overflowed=overflowed,
            lost=lost,
        )
        return captured, round(true_s * NS_PER_S)


def run(time: MicrophoneTime, device: Device, blocks: int) -> list[float]:
    """Errors of the stamps in ms."""
    errors = []
    for _ in range(blocks):
        captured, true_ns = device.block()
        errors.append((time.place(captured) - true_ns) / 1e6)
    return errors


@settings(max_examples=15)
@given(ppm=st.floats(-150, 150), epoch_s=st.sampled_from([0.0, -99.0, 1.7e9]), seed=st.integers(0, 10_000))
def test_stamps_are_right_within_a_millisecond_or_two_on_any_clock(
    ppm: float, epoch_s: float, seed: int
) -> None:
    sink = RecordingSink()
    time = MicrophoneTime(RATE_HZ, sink)
    errors = run(time, Device(ppm=ppm, epoch_s=epoch_s, seed=seed), 1000)
    assert max(map(abs, errors[100:])) < 2.0
    assert not sink.counts()[Event.AUDIO_OVERRUN]
    assert time.stamp_source is StampSource.DRIVER


def test_drift_is_measured() -> None:
    time = MicrophoneTime(RATE_HZ, RecordingSink())
    run(time, Device(ppm=80), 1500)
    assert time.drift_ppm == pytest.approx(80, abs=20)


@pytest.mark.parametrize("lost_ms", [20, 60, 400, 3000])
def test_a_loss_nobody_flags_is_seen_and_measured(lost_ms: int) -> None:
    sink = RecordingSink()
    time = MicrophoneTime(RATE_HZ, sink)
    device = Device(ppm=40)
    run(time, device, 300)
    device.lose(lost_ms * RATE_HZ // 1000)
    errors = run(time, device, 200)
    assert errors[0] == pytest.approx(-lost_ms, abs=3), "one late reading proves nothing"
    assert max(map(abs, errors[15:])) < 5.0
    assert sink.counts()[Event.AUDIO_OVERRUN] == 1
    (detail,) = [d for event, _, d in sink.events if event is Event.AUDIO_OVERRUN]
    assert float(detail.split(" ms")[0]) == pytest.approx(lost_ms, abs=4)


def test_a_loss_in_the_queue_is_known_exactly() -> None:
    sink = RecordingSink()
    time = MicrophoneTime(RATE_HZ, sink)
    device = Device()
    run(time, device, 300)
    device.lose(1600)
    captured, true_ns = device.block(lost=1600)
    assert abs(time.place(captured) - true_ns) < 2e6
    assert [d for event, _, d in sink.events if event is Event.AUDIO_OVERRUN] == [
        "100 ms lost: capture was not served in time"
    ]


def test_single_wrong_capture_times_change_nothing() -> None:
    sink = RecordingSink()
    time = MicrophoneTime(RATE_HZ, sink)
    device = Device()
    run(time, device, 300)
    for k in range(300):
        wrong_s = 0.3 if k % 20 == 0 else 0.0
        captured, true_ns = device.block(adc_error_s=wrong_s)
        assert abs(time.place(captured) - true_ns) < 2e6
    assert sink.counts()[Event.AUDIO_OVERRUN] == 0
    assert sink.counts()[Event.CLOCK_OUTLIER] == 15


def test_a_flag_of_the_driver_is_counted() -> None:
    sink = RecordingSink()
    time = MicrophoneTime(RATE_HZ, sink)
    time.place(Device().block(overflowed=True)[0])
    assert sink.counts() == {Event.AUDIO_OVERRUN: 1}


def test_without_capture_times_arrivals_are_used_and_said_so() -> None:
    sink = RecordingSink()
    time = MicrophoneTime(RATE_HZ, sink)
    errors = run(time, Device(adc=False), 500)
    assert time.stamp_source is StampSource.ARRIVAL
    assert min(errors[150:]) > 0
    assert max(errors[150:]) < 6.0, "late by the least delay of a callback"


@pytest.mark.parametrize("step_s", [3600.0, -3600.0, 0.5, -0.5])
def test_a_wall_clock_that_is_set_moves_no_stamps(step_s: float) -> None:
    """PortAudio's stream time is the wall clock on some systems."""
    sink = RecordingSink()
    time, device = MicrophoneTime(RATE_HZ, sink), Device()
    run(time, device, 500)
    device._epoch_s += step_s
    errors = run(time, device, 500)
    assert np.abs(errors).max() < 5
    assert sink.counts()[Event.CLOCK_SNAP] == 1
    assert sink.counts()[Event.AUDIO_OVERRUN] == 0, "nothing was lost"
