"""`stream-avs calibrate show`: check a calibration file and say what is in it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Annotated

import tyro

from stream_avs.calibration.av_calib import describe_av_calib, read_av_calib
from stream_avs.calibration.camera_info import read_camera_info
from stream_avs.calibration.camera_info_url import camera_info_path
from stream_avs.calibration.yaml_file import read_keys
from stream_avs.commands.calibrate_common import make_console, parse


@dataclass(frozen=True, kw_only=True)
class ShowConfig:
    """Which file."""

    file: Annotated[str, tyro.conf.Positional]
    """An av_calib.yaml or a camera_info file; file:// and package:// addresses work too."""


def run(argv: list[str]) -> int:
    """Check and describe a file; returns 0, or raises what is wrong with it."""
    config = parse(ShowConfig, "show", argv, __doc__)
    path = camera_info_path(config.file, "camera")
    keys = read_keys(path, "calibration file")
    console = make_console()
    if "timeshift_cam_mic_s" in keys or "image_width" not in keys:
        calib = read_av_calib(path)
        console.print(describe_av_calib(calib, datetime.datetime.now(datetime.UTC)))
        console.print(f"  camera {calib.camera} at {calib.fps:.1f} fps, exposure {calib.exposure_ms:g} ms")
        console.print(f"  microphone {calib.microphone} through {calib.audio_host_api}")
        return 0
    info = read_camera_info(path)
    k = info.camera_matrix
    console.print(f"{info.camera_name}: {info.width_px}x{info.height_px}, {info.distortion_model}")
    if info.calibrated:
        console.print(f"  fx {k[0]:.2f}, fy {k[4]:.2f}, cx {k[2]:.2f}, cy {k[5]:.2f} px")
    else:
        console.print("  not calibrated: fx is 0. Run: stream-avs calibrate camera")
    return 0
