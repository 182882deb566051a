"""`stream-avs calibrate mic`: noise floor, clipping, offset and suggested gain.

Stay quiet for the first half, then talk or clap as you will later, from where you will be.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from stream_avs.calibration.devices import Inputs, sound_only
from stream_avs.calibration.errors import CalibrationError
from stream_avs.calibration.level import MicLevel, measure_level, write_level
from stream_avs.calibration.record import Recorder, record
from stream_avs.capture.base import SourceInfo
from stream_avs.commands.calibrate_common import StreamConfig, make_console, parse
from stream_avs.config import CameraConfig, MicrophoneConfig, require


@dataclass(frozen=True, kw_only=True)
class MicConfig:
    """What to record, and where the result goes."""

    source: str = "microphone"
    """microphone, or a media file or stream with sound."""
    duration_s: float = 10.0
    """How long to record; a file is read to its end."""
    out: str = ""
    """YAML file to write; empty for none."""
    microphone: MicrophoneConfig = field(default_factory=MicrophoneConfig)
    stream: StreamConfig = field(default_factory=StreamConfig)

    def __post_init__(self) -> None:
        require(2 <= self.duration_s <= 600, "duration_s", self.duration_s, "2..600 s")


def run(argv: list[str]) -> int:
    """Measure a microphone; returns 0 if it can be used as it is, else 1."""
    config = parse(MicConfig, "mic", argv, __doc__)
    console = make_console()
    inputs = Inputs(
        source=config.source, camera=CameraConfig(), microphone=config.microphone, media=config.stream.media()
    )
    recorder = Recorder(pictures=False)
    with console.status("opening") as status:

        def opened(info: SourceInfo) -> None:
            console.print(f"recording {info.name}")

        def tick(elapsed_s: float) -> None:
            quiet = elapsed_s < config.duration_s / 2
            status.update(f"{elapsed_s:.0f} s: {'stay quiet' if quiet else 'now talk or clap'}")

        info = record(sound_only(inputs), recorder, config.duration_s, opened=opened, tick=tick)
    samples, rate_hz = recorder.samples()
    if rate_hz == 0:
        raise CalibrationError(f"{info.name} gave no sound", "Try `stream-avs devices`")
    for remark in recorder.remarks:
        console.print(f"  {remark}")
    level = measure_level(samples, rate_hz)
    _report(level, console)
    if config.out:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        write_level(Path(config.out), level, info.name, now)
        console.print(f"wrote {config.out}")
    return 0 if level.good else 1


def _report(level: MicLevel, console: Console) -> None:
    gain = "unknown" if level.suggested_gain_db is None else f"{round(level.suggested_gain_db):+d} dB"
    console.print(
        f"noise floor {level.noise_floor_dbfs:.0f} dBFS, loud parts {level.loud_dbfs:.0f} dBFS, peak "
        f"{level.peak_dbfs:.1f} dBFS, clipped {level.clipped_share:.3%}, offset {level.dc_offset:+.2%}; "
        f"suggested change of gain: {gain}"
    )
    for line in level.verdict:
        console.print(f"  {line}")
