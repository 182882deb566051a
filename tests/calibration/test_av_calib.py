from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_avs.calibration.av_calib import (
    AvCalib,
    describe_av_calib,
    read_av_calib,
    shift_text,
    with_av_calib,
    write_av_calib,
)
from stream_avs.calibration.errors import CalibrationFileError
from stream_avs.config import WindowConfig
from stream_avs.errors import ConfigError

NOW = datetime.datetime(2027, 3, 1, 12, 0, tzinfo=datetime.UTC)

GOOD = """\
timeshift_cam_mic_s: 0.0423
std_error_s: 0.0011
events: 22
date: "2027-02-27T12:00:00+00:00"
camera: "camera 0 (HD Webcam)"
microphone: "USB Audio"
audio_host_api: "ALSA (sounddevice)"
fps: 30.0
exposure_ms: 10.0
method: "flash"
drift_s: 0.0
distance_m: 0.5
"""

calibs = st.builds(
    AvCalib,
    timeshift_cam_mic_s=st.floats(-2, 2),
    std_error_s=st.floats(0, 1),
    events=st.integers(0, 1_000_000),
    date=st.datetimes(timezones=st.just(datetime.UTC)).map(datetime.datetime.isoformat),
    camera=st.text(max_size=30),
    microphone=st.text(max_size=30),
    audio_host_api=st.text(max_size=30),
    fps=st.floats(0, 1000),
    exposure_ms=st.floats(0, 10_000),
    method=st.sampled_from(["flash", "clap", "kalibr"]),
    drift_s=st.floats(-1, 1),
    distance_m=st.floats(0, 100),
)


@given(calib=calibs)
def test_writing_and_reading_changes_nothing(
    calib: AvCalib, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("calib") / "av_calib.yaml"
    write_av_calib(path, calib)
    assert read_av_calib(path) == calib


@pytest.mark.parametrize(
    "date", ['"2027-02-27T12:00:00+00:00"', "2027-02-27T12:00:00Z", "2027-02-27 12:00:00+00:00"]
)
def test_dates_may_be_written_in_several_ways(tmp_path: Path, date: str) -> None:
    path = tmp_path / "av_calib.yaml"
    path.write_text(GOOD.replace('"2027-02-27T12:00:00+00:00"', date))
    assert read_av_calib(path).age_days(NOW) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("timeshift_cam_mic_s: 0.0423\n", "", "timeshift_cam_mic_s is missing"),
        (
            "timeshift_cam_mic_s: 0.0423",
            "timeshift_cam_mic_s: 42.3",
            "is 42.3. Expected a finite number in -2..2",
        ),
        ("0.0423", ".inf", "Expected a finite number"),
        ("0.0423", "fast", "is 'fast'"),
        (
            "std_error_s: 0.0011",
            "std_error: 0.0011",
            "std_error is 0.0011. Expected no such key. Did you mean 'std_error_s'?",
        ),
        ("0.0011", "-0.1", "std_error_s is -0.1"),
        ("events: 22", "events: many", "events is 'many'"),
        ("events: 22", "events: 2.5", "events is 2.5"),
        (
            '"2027-02-27T12:00:00+00:00"',
            "yesterday",
            "date is 'yesterday'. Expected a date and time with zone",
        ),
        ('"2027-02-27T12:00:00+00:00"', '"2027-02-27T12:00:00"', "Expected a date and time with zone"),
        ('"2027-02-27T12:00:00+00:00"', "5", "date is 5"),
        ('"flash"', '"guess"', "method is 'guess'. Expected one of flash, clap, kalibr"),
        ('"USB Audio"', "7", "microphone is 7. Expected a text"),
        ("fps: 30.0", "fps: -1", "fps is -1"),
        (GOOD, "hello", "does not hold keys and values"),
    ],
)
def test_every_mistake_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "av_calib.yaml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(CalibrationFileError) as caught:
        read_av_calib(path)
    assert message in str(caught.value)
    assert "av_calib.yaml" in str(caught.value)


def test_a_session_takes_the_shift(tmp_path: Path) -> None:
    path = tmp_path / "av_calib.yaml"
    path.write_text(GOOD)
    window = WindowConfig(frames=3)
    assert with_av_calib(window, path) == WindowConfig(frames=3, timeshift_cam_mic_s=0.0423)
    same = WindowConfig(timeshift_cam_mic_s=0.0423)
    assert with_av_calib(same, path) == same
    with pytest.raises(ConfigError, match=r"timeshift_cam_mic_s is 0\.1, and .* says 0\.0423"):
        with_av_calib(WindowConfig(timeshift_cam_mic_s=0.1), path)
    with pytest.raises(CalibrationFileError, match="does not exist"):
        with_av_calib(window, tmp_path / "none.yaml")


def test_shifts_have_a_sign_and_zero_is_positive() -> None:
    assert [shift_text(s) for s in (0.0423, -0.3, -0.00001, 0.0)] == [
        "+42.3 ms",
        "-300.0 ms",
        "+0.0 ms",
        "+0.0 ms",
    ]


def test_description_tells_age(tmp_path: Path) -> None:
    path = tmp_path / "av_calib.yaml"
    path.write_text(GOOD)
    calib = read_av_calib(path)
    assert describe_av_calib(calib, NOW) == "+42.3 ms (standard error 1.1 ms, 22 flash events, 2 days old)"
    assert "of today" in describe_av_calib(calib, NOW - datetime.timedelta(days=2))
    assert "368 days old: measure it again" in describe_av_calib(calib, NOW + datetime.timedelta(days=366))
