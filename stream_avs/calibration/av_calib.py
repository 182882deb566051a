"""`av_calib.yaml`: the calibrated shift between camera and microphone, and how a session applies it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stream_avs.calibration.yaml_file import Keys, read_keys, text_of, write_text
from stream_avs.config import WindowConfig
from stream_avs.errors import ConfigError, nearest

MAX_SHIFT_S = 2.0
"""As `window.timeshift_cam_mic_s` allows."""

OLD_DAYS = 180
"""Drivers, firmware and cables change: after this long a shift should be measured again."""

UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class AvCalib:
    """The shift and what it holds for.

    Attributes:
        timeshift_cam_mic_s: `t_mic = t_cam + timeshift_cam_mic_s` (Kalibr's convention).
        std_error_s: its standard error; 0 when it is not known.
        events: how many events it rests on; 0 when it is not known.
        date: when it was measured, ISO 8601 with time zone.
        camera, microphone: names of the devices; "unknown" where not known.
        audio_host_api: how the microphone is read, e.g. "ALSA"; the shift holds for this one only.
        fps: frames per second; 0 when it is not known.
        exposure_ms: exposure time; 0 when it is not known. The shift holds for this one only.
        method: "flash", "clap" or "kalibr".
        drift_s: change of the shift during the recording; 0 if none was found.
        distance_m: distance from the event to the microphone; its sound travel time is taken out.
    """

    timeshift_cam_mic_s: float
    std_error_s: float
    events: int
    date: str
    camera: str = UNKNOWN
    microphone: str = UNKNOWN
    audio_host_api: str = UNKNOWN
    fps: float = 0.0
    exposure_ms: float = 0.0
    method: str
    drift_s: float = 0.0
    distance_m: float = 0.0

    def measured(self) -> datetime.datetime:
        """When it was measured, with time zone."""
        return datetime.datetime.fromisoformat(self.date)

    def age_days(self, now: datetime.datetime) -> float:
        """Days since it was measured."""
        return (now - self.measured()).total_seconds() / 86_400


METHODS = ("flash", "clap", "kalibr")
_TEXTS = ("camera", "microphone", "audio_host_api")
_NUMBERS = {
    "std_error_s": (0.0, 1.0),
    "fps": (0.0, 1000.0),
    "exposure_ms": (0.0, 10_000.0),
    "drift_s": (-1.0, 1.0),
    "distance_m": (0.0, 100.0),
}
_REQUIRED = ("timeshift_cam_mic_s", "std_error_s", "events", "date", "method")


def read_av_calib(path: Path) -> AvCalib:
    """Read `av_calib.yaml`.

    Raises:
        CalibrationFileError: missing, not YAML, an unknown key, or a value that cannot be; names
            file, key and value.
    """
    return av_calib_of(read_keys(path, "calibration file"))


def av_calib_of(keys: Keys) -> AvCalib:
    """The content of a calibration file; see `read_av_calib`."""
    fields = AvCalib.__dataclass_fields__
    for name in keys.names():
        if name not in fields:
            raise keys.wrong(name, keys.raw(name), f"no such key. {nearest(name, fields)}")
    for name in _REQUIRED:
        keys.raw(name)
    method = keys.text("method")
    if method not in METHODS:
        raise keys.wrong("method", method, f"one of {', '.join(METHODS)}")
    optional: dict[str, Any] = {name: keys.text(name) for name in _TEXTS if name in keys}
    optional |= {name: keys.number(name, *span) for name, span in _NUMBERS.items() if name in keys}
    return AvCalib(
        timeshift_cam_mic_s=keys.number("timeshift_cam_mic_s", -MAX_SHIFT_S, MAX_SHIFT_S),
        events=keys.whole("events", 0, 1_000_000),
        date=_date(keys),
        method=method,
        **optional,
    )


def write_av_calib(path: Path, calib: AvCalib) -> None:
    """Write `av_calib.yaml`; raises ConfigError when that is not possible."""
    write_text(path, av_calib_text(calib))


def av_calib_text(calib: AvCalib) -> str:
    """The file's text."""
    lines = ["# t_mic = t_cam + timeshift_cam_mic_s; holds for these devices at this rate and exposure"]
    lines += [f"{name}: {text_of(getattr(calib, name))}" for name in AvCalib.__dataclass_fields__]
    return "\n".join(lines) + "\n"


def with_av_calib(window: WindowConfig, path: Path) -> WindowConfig:
    """Return the window settings with the shift of a calibration file.

    Raises:
        CalibrationFileError: the file is missing or wrong.
        ConfigError: the settings hold another shift already.
    """
    shift_s = read_av_calib(path).timeshift_cam_mic_s
    if window.timeshift_cam_mic_s not in (0.0, shift_s):
        raise ConfigError(
            f"window.timeshift_cam_mic_s is {window.timeshift_cam_mic_s:g}, and {path} says {shift_s:g}",
            "Give one of the two",
        )
    return replace(window, timeshift_cam_mic_s=shift_s)


def shift_text(shift_s: float) -> str:
    """The shift in milliseconds with its sign, e.g. "+42.3 ms"; never "-0.0 ms"."""
    return f"{round(shift_s * 1e3, 1) + 0.0:+.1f} ms"


def describe_av_calib(calib: AvCalib, now: datetime.datetime) -> str:
    """One line on the shift, its error and its age, e.g. for `doctor`."""
    age = calib.age_days(now)
    old = ": measure it again" if age > OLD_DAYS else ""
    days = f"{age:.0f} days old" if age >= 1 else "of today"
    return (
        f"{shift_text(calib.timeshift_cam_mic_s)} (standard error {calib.std_error_s * 1e3:.1f} ms, "
        f"{calib.events} {calib.method} events, {days}{old})"
    )


def _date(keys: Keys) -> str:
    expected = "a date and time with zone, e.g. 2026-11-20T10:00:00+00:00"
    value = keys.raw("date")
    if isinstance(value, datetime.datetime):
        value = value.isoformat()  # unquoted, YAML itself makes a date of it
    if not isinstance(value, str):
        raise keys.wrong("date", value, expected)
    try:
        date = datetime.datetime.fromisoformat(value)
    except ValueError:
        raise keys.wrong("date", value, expected) from None
    if date.tzinfo is None:
        raise keys.wrong("date", value, expected)
    return date.isoformat()
