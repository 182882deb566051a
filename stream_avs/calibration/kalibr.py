"""Import of Kalibr's camera chain files (`*-camchain.yaml`, `*-camchain-imucam.yaml`).

Format: github.com/ethz-asl/kalibr/wiki/yaml-formats. Kalibr's radtan is ROS's plumb_bob without k3,
its equidistant is ROS's equidistant.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from pathlib import Path

from stream_avs.calibration.av_calib import MAX_SHIFT_S, AvCalib
from stream_avs.calibration.camera_info import CameraInfo, projection_of
from stream_avs.calibration.errors import CalibrationFileError
from stream_avs.calibration.yaml_file import Keys, read_keys

CAMERA = re.compile(r"cam\d{1,4}")
CAMERA_MODELS = ("pinhole",)
DISTORTION_MODELS = ("radtan", "equidistant", "none")


@dataclass(frozen=True, kw_only=True, slots=True)
class KalibrCamera:
    """One camera of a chain.

    Attributes:
        key: its name in the file, e.g. "cam0".
        info: intrinsics.
        topic: ROS topic it was recorded from; "" if the file does not say.
        timeshift_cam_mic_s: `t_mic = t_cam + shift`; None if the file does not say. Kalibr itself does
            not write this key: it is for chains to which a microphone has been added by hand.
        timeshift_cam_imu_s: `t_imu = t_cam + shift`; None if the file does not say.
    """

    key: str
    info: CameraInfo
    topic: str
    timeshift_cam_mic_s: float | None
    timeshift_cam_imu_s: float | None


def read_kalibr(path: Path, camera_name: str = "") -> tuple[KalibrCamera, ...]:
    """Read a camera chain.

    Args:
        path: the file.
        camera_name: name for the camera; of several, each gets its key appended. "" uses the keys.

    Raises:
        CalibrationFileError: missing, not YAML, no camera in it, or a model or value that cannot be
            written as ROS camera_info; names file, key and value.
    """
    return chain_of(read_keys(path, "Kalibr camera chain"), camera_name)


def chain_of(keys: Keys, camera_name: str = "") -> tuple[KalibrCamera, ...]:
    """The cameras of a chain file; see `read_kalibr`."""
    names = sorted((n for n in keys.names() if CAMERA.fullmatch(n)), key=lambda n: int(n[3:]))
    if not names:
        raise CalibrationFileError(
            f"{keys.path} holds no camera (cam0, cam1, ...)", "Give the file Kalibr calls ...-camchain.yaml"
        )
    several = len(names) > 1
    return tuple(
        _camera(keys.mapping(n), n, (f"{camera_name}_{n}" if several else camera_name) if camera_name else n)
        for n in names
    )


def shift_of(camera: KalibrCamera, *, microphone_on_imu_clock: bool) -> float | None:
    """The shift between camera and microphone that a chain gives, or None.

    Args:
        camera: one camera of it.
        microphone_on_imu_clock: whether the microphone's stamps are on the clock of the IMU, so that
            the shift to the IMU is the shift to the microphone. Nothing in the file can tell.
    """
    if camera.timeshift_cam_mic_s is not None:
        return camera.timeshift_cam_mic_s
    return camera.timeshift_cam_imu_s if microphone_on_imu_clock else None


def av_calib_of(camera: KalibrCamera, shift_s: float, now: datetime.datetime) -> AvCalib:
    """A calibration with this shift; what Kalibr does not tell stays unknown."""
    return AvCalib(
        timeshift_cam_mic_s=shift_s,
        std_error_s=0.0,
        events=0,
        date=now.isoformat(timespec="seconds"),
        camera=camera.topic or camera.key,
        method="kalibr",
    )


def _camera(keys: Keys, key: str, name: str) -> KalibrCamera:
    _one_of(keys, "camera_model", CAMERA_MODELS, "the others have no counterpart in ROS camera_info")
    model = _one_of(keys, "distortion_model", DISTORTION_MODELS, "ROS camera_info knows no other")
    coefficients = (
        keys.numbers("distortion_coeffs", 0 if model == "none" else 4) if "distortion_coeffs" in keys
        or model != "none" else ()
    )  # fmt: skip
    fu, fv, pu, pv = keys.numbers("intrinsics", 4)
    width, height = (_pixels(keys, n) for n in keys.numbers("resolution", 2))
    if fu <= 0 or fv <= 0 or not (0 <= pu <= width and 0 <= pv <= height):
        expected = f"positive fu, fv and a principal point inside {width}x{height}"
        raise keys.wrong("intrinsics", [fu, fv, pu, pv], expected)
    matrix = (fu, 0.0, pu, 0.0, fv, pv, 0.0, 0.0, 1.0)
    info = CameraInfo(
        camera_name=name,
        width_px=width,
        height_px=height,
        distortion_model="equidistant" if model == "equidistant" else "plumb_bob",
        distortion=coefficients if model == "equidistant" else (*(coefficients or (0.0,) * 4), 0.0),
        camera_matrix=matrix,
        projection=projection_of(matrix),
    )
    return KalibrCamera(
        key=key,
        info=info,
        topic=keys.text("rostopic") if "rostopic" in keys else "",
        timeshift_cam_mic_s=_shift(keys, "timeshift_cam_mic"),
        timeshift_cam_imu_s=_shift(keys, "timeshift_cam_imu"),
    )


def _one_of(keys: Keys, key: str, choices: tuple[str, ...], why: str) -> str:
    value = keys.text(key)
    if value not in choices:
        raise keys.wrong(key, value, f"one of {', '.join(choices)}: {why}")
    return value


def _pixels(keys: Keys, value: float) -> int:
    if not 1 <= value <= 100_000 or value != int(value):
        raise keys.wrong("resolution", value, "width and height as whole numbers in 1..100000")
    return int(value)


def _shift(keys: Keys, key: str) -> float | None:
    return keys.number(key, -MAX_SHIFT_S, MAX_SHIFT_S) if key in keys else None
