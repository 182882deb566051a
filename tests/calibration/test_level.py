from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_avs.calibration.errors import CalibrationError
from stream_avs.calibration.level import measure_level, write_level

RATE_HZ = 16_000


def recording(
    noise_dbfs: float = -65.0, loud_dbfs: float = -20.0, offset: float = 0.0, gain: float = 1.0, seed: int = 0
) -> NDArray[np.float32]:
    """Five seconds of noise, then five of it with a sound of that RMS level every other quarter second."""
    random = np.random.default_rng(seed)
    samples = random.normal(0, 10 ** (noise_dbfs / 20), 10 * RATE_HZ)
    t = np.arange(len(samples)) / RATE_HZ
    on = (t >= 5) & (t % 0.5 < 0.25)
    samples[on] += np.sqrt(2) * 10 ** (loud_dbfs / 20) * np.sin(2 * np.pi * 300 * t[on])
    return np.clip(gain * samples + offset, -1, 1).astype(np.float32)


@settings(deadline=None, max_examples=25)
@given(noise=st.floats(-90, -50), loud=st.floats(-32, -10), offset=st.floats(-0.05, 0.05))
def test_levels_are_measured(noise: float, loud: float, offset: float) -> None:
    level = measure_level(recording(noise, loud, offset), RATE_HZ)
    assert level.noise_floor_dbfs == pytest.approx(noise, abs=0.7)
    assert level.loud_dbfs == pytest.approx(loud, abs=0.7)
    assert level.dc_offset == pytest.approx(offset, abs=1e-3)
    assert level.seconds == 10
    assert level.clipped_share == 0
    assert level.suggested_gain_db is not None


@settings(deadline=None, max_examples=25)
@given(loud=st.floats(-40, -8))
def test_following_the_suggestion_leaves_nothing_to_do(loud: float) -> None:
    gain_db = measure_level(recording(-90, loud), RATE_HZ).suggested_gain_db
    assert gain_db is not None
    after = measure_level(recording(-90, loud, gain=10 ** (gain_db / 20)), RATE_HZ)
    assert after.suggested_gain_db == pytest.approx(0, abs=0.1)
    assert after.peak_dbfs <= -2.9
    assert after.good
    assert after.verdict == ("good: leave the gain as it is",)


@pytest.mark.parametrize(
    ("samples", "line"),
    [
        (recording(loud_dbfs=-45), "raise the gain by 25 dB"),
        (recording(loud_dbfs=-6), "lower the gain by 14 dB"),
        (recording(loud_dbfs=6), "clipping: "),
        (recording(noise_dbfs=-35, loud_dbfs=-15), "noisy: -35 dBFS when quiet"),
        (recording(loud_dbfs=-200), "nothing louder than the noise was heard"),
        (recording(offset=0.1), "offset of +10.0% of full scale"),
        (np.zeros(10 * RATE_HZ, np.float32), "nothing but zeros"),
        (np.full(10 * RATE_HZ, 0.2, np.float32), "nothing but zeros"),
    ],
    ids=["quiet", "loud", "clipping", "noisy", "no talk", "offset", "muted", "stuck"],
)
def test_verdicts(samples: NDArray[np.float32], line: str) -> None:
    level = measure_level(samples, RATE_HZ)
    assert not level.good
    assert any(text.startswith(line) for text in level.verdict)


def test_clipping_lowers_the_gain_by_enough() -> None:
    level = measure_level(recording(loud_dbfs=6), RATE_HZ)
    assert level.clipped_share > 0.05
    assert level.suggested_gain_db is not None
    assert level.suggested_gain_db <= -6


def test_single_full_scale_samples_are_no_clipping() -> None:
    samples = recording()
    samples[::5000] = 1.0
    assert measure_level(samples, RATE_HZ).clipped_share == 0


def test_too_short_a_recording_is_refused() -> None:
    with pytest.raises(CalibrationError, match=r"is 1\.5 s long"):
        measure_level(np.zeros(int(1.5 * RATE_HZ), np.float32), RATE_HZ)


def test_the_file_holds_every_figure(tmp_path: Path) -> None:
    for samples in (recording(), np.zeros(10 * RATE_HZ, np.float32)):
        level = measure_level(samples, RATE_HZ)
        write_level(tmp_path / "mic.yaml", level, 'Mic "USB"', "2027-03-01T00:00:00+00:00")
        raw = yaml.safe_load((tmp_path / "mic.yaml").read_text())
        assert raw["microphone"] == 'Mic "USB"'
        assert raw["noise_floor_dbfs"] == level.noise_floor_dbfs
        assert raw["suggested_gain_db"] == level.suggested_gain_db
        assert raw["verdict"] == list(level.verdict)
        assert raw["good"] is level.good
