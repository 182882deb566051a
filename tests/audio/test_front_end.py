"""Front ends: each hears the end of the sound, several share one row of numbers, and rates agree."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_avs.audio import mn_mel, vggish_mel
from stream_avs.audio.front_end import MN04, VGGISH, AudioInput

BOTH = AudioInput((VGGISH, MN04))


def tones(seed: int, sample_rate_hz: int, seconds: float = 2.0) -> np.ndarray:
    """Twelve tones below 7 kHz, the same sound at any rate."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * sample_rate_hz)) / sample_rate_hz
    waves = [
        rng.uniform(0.01, 0.08) * np.sin(2 * np.pi * (rng.uniform(100, 7000) * time_s + rng.uniform()))
        for _ in range(12)
    ]
    return np.sum(waves, axis=0).astype(np.float32)


def test_each_hears_the_end_of_the_sound_at_its_own_rate() -> None:
    wide = tones(0, 32_000, 3.0)
    np.testing.assert_array_equal(MN04(wide, 32_000)[0], mn_mel.log_mel(wide[-64_000:]))
    narrow = tones(0, 16_000, 3.0)
    np.testing.assert_array_equal(VGGISH(narrow, 16_000)[0], vggish_mel.log_mel(narrow[-15_600:]))
    for one in (VGGISH, MN04):
        assert one(wide, 32_000).shape == one.shape


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([32_000, 48_000]))
def test_vggish_hears_the_same_at_a_multiple_of_its_rate(seed: int, sample_rate_hz: int) -> None:
    """Nearly: what is left is leakage from the upper edge, in cells near the floor of log(0.01)."""
    wide = vggish_mel.log_mel(tones(seed, sample_rate_hz), sample_rate_hz)
    narrow = vggish_mel.log_mel(tones(seed, 16_000))
    assert wide.shape == narrow.shape
    np.testing.assert_allclose(wide, narrow, atol=0.03)
    assert np.abs(wide - narrow).mean() < 1e-3


def test_what_vggish_cannot_hear_at_its_own_rate_it_does_not_hear_at_another() -> None:
    time_s = np.arange(32_000) / 32_000
    whistle = (0.1 * np.sin(2 * np.pi * 12_000 * time_s)).astype(np.float32)
    assert vggish_mel.log_mel(whistle, 32_000).max() < np.log(0.01) + 0.1


def test_one_front_end_keeps_its_shape_and_several_lie_in_a_row() -> None:
    alone = AudioInput((MN04,))
    assert (alone.shape, alone.sample_rate_hz, alone.context_s) == ((1, 128, 200), 32_000, 2.0)
    assert (BOTH.shape, BOTH.sample_rate_hz, BOTH.context_s) == ((96 * 64 + 128 * 200,), 32_000, 2.0)
    sound = tones(1, 32_000)
    np.testing.assert_array_equal(alone(sound), MN04(sound, 32_000))
    row = BOTH(sound)
    np.testing.assert_array_equal(row[: 96 * 64].reshape(VGGISH.shape), VGGISH(sound, 32_000))
    np.testing.assert_array_equal(row[96 * 64 :].reshape(MN04.shape), MN04(sound, 32_000))
    assert row.dtype == np.float32


def test_loading_processes_can_be_given_it() -> None:
    assert pickle.loads(pickle.dumps(BOTH)) == BOTH


@pytest.mark.parametrize(("front_end", "rate_hz"), [(VGGISH, 44_100), (VGGISH, 8_000), (MN04, 16_000)])
def test_a_rate_it_cannot_take_is_refused(front_end: object, rate_hz: int) -> None:
    with pytest.raises(ValueError, match=f"sample_rate_hz is {rate_hz}"):
        front_end(np.zeros(3 * rate_hz, np.float32), rate_hz)  # type: ignore[operator]
