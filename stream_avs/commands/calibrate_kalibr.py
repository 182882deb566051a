"""`stream-avs calibrate kalibr`: turn a Kalibr camera chain into ROS camera_info files.

Kalibr knows cameras and IMUs, not microphones. If the chain holds `timeshift_cam_mic`, or if the
microphone's stamps are on the IMU's clock and --microphone-on-imu-clock says so, av_calib.yaml is
written too.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from stream_avs.calibration.av_calib import shift_text, write_av_calib
from stream_avs.calibration.camera_info import check_camera_name, write_camera_info
from stream_avs.calibration.kalibr import av_calib_of, read_kalibr, shift_of
from stream_avs.commands.calibrate_common import make_console, parse
from stream_avs.config import require


@dataclass(frozen=True, kw_only=True)
class KalibrConfig:
    """The chain, and where the result goes."""

    chain: Annotated[str, tyro.conf.Positional]
    """The file Kalibr calls ...-camchain.yaml."""
    out: str = "."
    """Folder to write to: one NAME.yaml per camera."""
    name: str = ""
    """Name of the camera; of several, each gets _cam0, _cam1, ... appended. Empty uses cam0, cam1, ..."""
    microphone_on_imu_clock: bool = False
    """Take timeshift_cam_imu for the shift to the microphone."""

    def __post_init__(self) -> None:
        require(
            not self.name or check_camera_name(self.name), "name", self.name, "letters, digits and _ only"
        )


def run(argv: list[str]) -> int:
    """Import a chain; returns 0."""
    config = parse(KalibrConfig, "kalibr", argv, __doc__)
    console = make_console()
    folder = Path(config.out)
    cameras = read_kalibr(Path(config.chain), config.name)
    now = datetime.datetime.now(datetime.UTC)
    for camera in cameras:
        path = folder / f"{camera.info.camera_name}.yaml"
        write_camera_info(path, camera.info)
        console.print(
            f"wrote {path}: {camera.info.width_px}x{camera.info.height_px}, {camera.info.distortion_model}"
        )
        shift_s = shift_of(camera, microphone_on_imu_clock=config.microphone_on_imu_clock)
        if shift_s is not None:
            stem = "av_calib" if len(cameras) == 1 else f"av_calib_{camera.key}"
            write_av_calib(folder / f"{stem}.yaml", av_calib_of(camera, shift_s, now))
            console.print(f"wrote {folder / stem}.yaml: t_mic = t_cam {shift_text(shift_s)}")
        elif camera.timeshift_cam_imu_s is not None:
            console.print(
                f"  timeshift_cam_imu {camera.timeshift_cam_imu_s * 1e3:+.1f} ms is to the IMU and not used; "
                "if the microphone is stamped on its clock, add --microphone-on-imu-clock"
            )
    return 0
