from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_avs.calibration.onsets import find_onsets
from stream_avs.calibration.tracks import SoundPiece


def noise(seconds: float, rate_hz: int, level: float = 0.002, seed: int = 0) -> NDArray[np.float32]:
    samples = np.random.default_rng(seed).normal(0, level, round(seconds * rate_hz))
    return samples.astype(np.float32)


def piece(samples: NDArray[np.float32], rate_hz: int, start_ns: int = 0) -> SoundPiece:
    return SoundPiece(samples=samples, start_ns=start_ns, rate_hz=float(rate_hz))


def add_beep(samples: NDArray[np.float32], rate_hz: int, at_s: float, hz: float, fade_s: float) -> None:
    first = int(np.ceil(at_s * rate_hz))
    t = (first + np.arange(round(0.1 * rate_hz))) / rate_hz - at_s
    samples[first : first + len(t)] += (0.3 * np.sin(2 * np.pi * hz * t) * np.exp(-t / fade_s)).astype(
        np.float32
    )


@settings(max_examples=40, deadline=None)
@given(
    at_s=st.floats(0.3, 1.5),
    rate_hz=st.sampled_from([8000, 16_000, 44_100, 48_000]),
    hz=st.floats(400, 3000),
    fade_s=st.floats(0.01, 1.0),
    level=st.floats(0, 0.01),
    start_ns=st.integers(0, 10**15),
)
def test_beep_is_timed_to_a_millisecond_and_a_half(
    at_s: float, rate_hz: int, hz: float, fade_s: float, level: float, start_ns: int
) -> None:
    samples = noise(2.0, rate_hz, level)
    add_beep(samples, rate_hz, at_s, hz, fade_s)
    (onset,) = find_onsets([piece(samples, rate_hz, start_ns)])
    assert abs((onset.time_ns - start_ns) / 1e9 - at_s) <= 0.0015
    assert onset.rise_db >= 10


def test_echo_does_not_delay_the_onset() -> None:
    samples = noise(2.0, 48_000)
    for delay_s, gain in ((0.0, 1.0), (0.006, 0.9), (0.019, 0.7), (0.041, 0.5)):
        echo = np.zeros_like(samples)
        add_beep(echo, 48_000, 1.0 + delay_s, 2000, 0.02)
        samples += gain * echo
    (onset,) = find_onsets([piece(samples, 48_000)])
    assert onset.time_ns / 1e9 == pytest.approx(1.0, abs=0.0015)


def test_low_sustained_tone_is_timed_at_its_beginning() -> None:
    samples = noise(2.0, 16_000)
    t = np.arange(len(samples)) / 16_000 - 0.5
    samples[t >= 0] += (0.2 * np.sin(2 * np.pi * 196 * t[t >= 0])).astype(np.float32)
    (onset,) = find_onsets([piece(samples, 16_000)])
    assert onset.time_ns / 1e9 == pytest.approx(0.5, abs=0.003)


def test_hum_and_offset_hide_nothing() -> None:
    t = np.arange(2 * 48_000) / 48_000
    samples = (noise(2.0, 48_000) + 0.1 + 0.3 * np.sin(2 * np.pi * 50 * t)).astype(np.float32)
    add_beep(samples, 48_000, 1.0, 2000, 0.02)
    (onset,) = find_onsets([piece(samples, 48_000)])
    assert onset.time_ns / 1e9 == pytest.approx(1.0, abs=0.0015)


def test_steady_noise_and_silence_have_no_onsets() -> None:
    for level in (0.0, 1e-5, 0.01, 0.3):
        assert find_onsets([piece(noise(5.0, 16_000, level), 16_000)]) == ()


def test_the_louder_of_two_close_sounds_counts() -> None:
    samples = noise(2.0, 48_000)
    add_beep(samples, 48_000, 1.0, 2000, 0.01)
    samples *= np.float32(0.1)
    add_beep(samples, 48_000, 1.12, 2000, 0.01)
    (onset,) = find_onsets([piece(samples, 48_000)])
    assert onset.time_ns / 1e9 == pytest.approx(1.12, abs=0.0015)


def test_the_beginning_of_a_piece_is_no_onset() -> None:
    # A hole in the recording ends with sound: that is no sound beginning.
    loud = noise(1.0, 16_000, 0.2)
    assert find_onsets([piece(loud, 16_000), piece(loud, 16_000, 2 * 10**9)]) == ()
    assert find_onsets([piece(loud[:100], 16_000)]) == ()


def test_onsets_come_in_order_of_time() -> None:
    samples = noise(4.0, 16_000)
    for at_s in (0.5, 1.3, 2.9):
        add_beep(samples, 16_000, at_s, 1000, 0.02)
    times_s = [o.time_ns / 1e9 for o in find_onsets([piece(samples, 16_000, 10**10), piece(samples, 16_000)])]
    assert times_s == pytest.approx([0.5, 1.3, 2.9, 10.5, 11.3, 12.9], abs=0.002)
