"""`stream-avs calibrate sync`: the shift between camera and microphone.

Play the target (`stream-avs calibrate target flash-beep.mp4`) on a phone or screen in front of camera
and microphone, or clap about 20 times. Writes av_calib.yaml and a picture of the fit.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from stream_avs.calibration.av_calib import AvCalib, shift_text, write_av_calib
from stream_avs.calibration.devices import Inputs, both, camera_index, device_names, exposure_of
from stream_avs.calibration.errors import CalibrationError
from stream_avs.calibration.exposure import Exposure
from stream_avs.calibration.onsets import find_onsets
from stream_avs.calibration.record import Recorder, record
from stream_avs.calibration.sync import SOUND_M_PER_S, estimate_shift
from stream_avs.calibration.sync_plot import draw_sync
from stream_avs.calibration.sync_result import Method, SyncEstimate, SyncLimits
from stream_avs.capture.base import SourceInfo
from stream_avs.commands.calibrate_common import StreamConfig, make_console, parse
from stream_avs.config import CameraConfig, MicrophoneConfig, SyntheticConfig, require
from stream_avs.types import StampSource

COUNT_EVERY_S = 2.0


@dataclass(frozen=True, kw_only=True)
class SyncConfig:
    """What to record, and where the result goes."""

    source: str = "webcam"
    """webcam, camera:N, /dev/videoN, a video file with sound, a stream, or synthetic."""
    method: Method = Method.AUTO
    """flash for the target video, clap for hand claps, auto for flash and then clap."""
    duration_s: float = 50.0
    """How long to record; a file is read to its end."""
    distance_m: float = 0.0
    """From the loudspeaker or hands to the microphone; sound takes 2.9 ms per metre, which is taken out."""
    exposure_ms: float = 0.0
    """Exposure time, to be noted with the result; 0 asks the camera."""
    out: str = "av_calib.yaml"
    """The file to write."""
    plot: str = ""
    """The picture of the fit; empty for the same name as `out`, ending in .png."""
    limits: SyncLimits = field(default_factory=SyncLimits)
    camera: CameraConfig = field(default_factory=CameraConfig)
    microphone: MicrophoneConfig = field(default_factory=MicrophoneConfig)
    stream: StreamConfig = field(default_factory=StreamConfig)
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)

    def __post_init__(self) -> None:
        require(5 <= self.duration_s <= 300, "duration_s", self.duration_s, "5..300 s")
        require(0 <= self.distance_m <= 100, "distance_m", self.distance_m, "0..100 m")
        require(0 <= self.exposure_ms <= 10_000, "exposure_ms", self.exposure_ms, "0..10000 ms")


def run(argv: list[str]) -> int:
    """Calibrate the shift; returns 0, or raises what stands in the way."""
    config = parse(SyncConfig, "sync", argv, __doc__)
    console = make_console()
    inputs = Inputs(
        source=config.source,
        camera=config.camera,
        microphone=config.microphone,
        media=config.stream.media(),
        synthetic=config.synthetic,
    )
    recorder = Recorder()
    exposure: list[Exposure | None] = []
    info = _record(config, inputs, recorder, exposure, console)
    pictures, sound = recorder.pictures(), recorder.sound()
    if len(pictures.stamps_ns) == 0 or not sound:
        missing = "pictures" if sound else "sound"
        raise CalibrationError(f"{info.name} gave no {missing}", "Both are needed; try `stream-avs devices`")
    for remark in recorder.remarks:
        console.print(f"  {remark}")
    estimate = estimate_shift(pictures, sound, method=config.method, limits=config.limits)
    calib = _calib(config, inputs, info, estimate, exposure[-1] if exposure else None)
    out = Path(config.out)
    plot = Path(config.plot) if config.plot else out.with_suffix(".png")
    write_av_calib(out, calib)
    draw_sync(estimate, info.name).save(plot)
    _report(config, calib, estimate, pictures.stamp_source, console)
    console.print(f"wrote {out} and {plot}")
    return 0


def _record(
    config: SyncConfig,
    inputs: Inputs,
    recorder: Recorder,
    exposure: list[Exposure | None],
    console: Console,
) -> SourceInfo:
    with console.status("opening") as status:

        def opened(info: SourceInfo) -> None:
            console.print(f"recording {info.name}")
            for note in info.notes:
                console.print(f"  {note}")

        counted_s = 0.0

        def tick(elapsed_s: float) -> None:
            nonlocal counted_s
            if elapsed_s - counted_s >= COUNT_EVERY_S:
                counted_s = elapsed_s
                heard = len(find_onsets(recorder.sound()))
                status.update(f"{elapsed_s:.0f} s, {heard} sudden sounds heard; Ctrl-C ends early")
                # Once the picture runs: before, many drivers answer with an old value.
                exposure.append(exposure_of(inputs))

        info = record(both(inputs), recorder, config.duration_s, opened=opened, tick=tick)
        status.update("estimating")
    return info


def _calib(
    config: SyncConfig, inputs: Inputs, info: SourceInfo, estimate: SyncEstimate, exposure: Exposure | None
) -> AvCalib:
    names = device_names(inputs, info)
    noted_ms = exposure.time_ms if exposure is not None and not exposure.automatic else None
    return AvCalib(
        timeshift_cam_mic_s=round(estimate.shift_s - config.distance_m / SOUND_M_PER_S, 6),
        std_error_s=round(estimate.std_error_s, 6),
        events=estimate.events,
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        camera=names.camera,
        microphone=names.microphone,
        audio_host_api=names.audio_host_api,
        fps=round(estimate.fps, 3),
        exposure_ms=config.exposure_ms or noted_ms or 0.0,
        method=estimate.method.value,
        drift_s=round(estimate.drift_s, 6),
        distance_m=config.distance_m,
    )


def _report(
    config: SyncConfig, calib: AvCalib, estimate: SyncEstimate, stamps: StampSource, console: Console
) -> None:
    console.print(
        f"t_mic = t_cam {shift_text(calib.timeshift_cam_mic_s)}, "
        f"standard error {calib.std_error_s * 1e3:.1f} ms, from {estimate.events} events "
        f"({estimate.seen} seen, {estimate.heard} heard) by {calib.method}"
    )
    if estimate.frame_locked:
        console.print("  a drawn video: its events begin exactly with a frame")
    if stamps is StampSource.ARRIVAL:
        console.print("  frames are stamped when they arrive: the shift holds while the load stays the same")
    if calib.exposure_ms == 0.0 and camera_index(config.source) is not None:
        console.print("  the exposure is automatic or not known: fix it, or the shift changes with the light")
    if calib.drift_s:
        console.print(f"  the shift changed by {calib.drift_s * 1e3:+.1f} ms during the recording")
