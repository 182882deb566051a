"""YAML: the text itself, and what settings and calibration files make of its values.

The checks of values are given JSON, which is decoded a hundred times faster than YAML.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
from fuzzing import MIB, Target

from stream_avs.calibration.av_calib import AvCalib, av_calib_of, av_calib_text, describe_av_calib
from stream_avs.calibration.camera_info import CameraInfo, camera_info_of, camera_info_text, projection_of
from stream_avs.calibration.camera_info_url import camera_info_path
from stream_avs.calibration.kalibr import av_calib_of as av_calib_of_kalibr
from stream_avs.calibration.kalibr import chain_of, shift_of
from stream_avs.calibration.yaml_file import Keys, keys_of
from stream_avs.config import RunConfig, from_mapping
from stream_avs.errors import ConfigError, StreamAvsError
from stream_avs.record.codec import to_json
from stream_avs.yaml_input import YamlError, decode_yaml

FILE = Path("file.yaml")
NOW = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)
K = (300.0, 0.0, 160.0, 0.0, 300.0, 120.0, 0.0, 0.0, 1.0)
INFO = CameraInfo(
    camera_name="front", width_px=320, height_px=240, distortion_model="plumb_bob",
    distortion=(0.1, -0.05, 0.0, 0.0, 0.0), camera_matrix=K, projection=projection_of(K),
)  # fmt: skip
CALIB = AvCalib(
    timeshift_cam_mic_s=0.0423, std_error_s=0.001, events=12, date="2026-11-20T10:00:00+00:00", method="flash"
)
CHAIN = {
    "cam0": {
        "camera_model": "pinhole", "distortion_model": "radtan", "distortion_coeffs": [0.1, 0.0, 0.0, 0.0],
        "intrinsics": [300.0, 300.0, 160.0, 120.0], "resolution": [320, 240], "rostopic": "/cam0/image_raw",
        "timeshift_cam_imu": 0.002, "cam_overlaps": [],
    },
    "cam1": {
        "camera_model": "pinhole", "distortion_model": "equidistant", "distortion_coeffs": [0.1, 0, 0, 0],
        "intrinsics": [300.0, 300.0, 160.0, 120.0], "resolution": [320, 240],
    },
}  # fmt: skip


def _from_json(check: Callable[[Keys], object]) -> Callable[[bytes], object]:
    def decode(data: bytes) -> object:
        try:
            raw = json.loads(data)
        except (ValueError, RecursionError):
            return None
        return check(keys_of(raw, FILE, "file"))

    return decode


def _settings(data: bytes) -> object:
    """What is accepted can be written and is accepted again."""
    try:
        raw = msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return None
    config = from_mapping(raw, RunConfig)
    return from_mapping(msgspec.json.decode(to_json(dataclasses.asdict(config))), RunConfig)


def _camera_info(keys: Keys) -> object:
    info = camera_info_of(keys)
    return camera_info_text(info), info.calibrated


def _kalibr(keys: Keys) -> object:
    cameras = chain_of(keys, "rig")
    shifts = [shift_of(camera, microphone_on_imu_clock=True) for camera in cameras]
    return [av_calib_of_kalibr(c, s or 0.0, NOW) for c, s in zip(cameras, shifts, strict=True)]


def _av_calib(keys: Keys) -> object:
    calib = av_calib_of(keys)
    return av_calib_text(calib), describe_av_calib(calib, NOW)


def _url(data: bytes) -> object:
    environment = {"ROS_HOME": "/nonexistent", "AMENT_PREFIX_PATH": "/nonexistent/a:/nonexistent/b"}
    return camera_info_path(data.decode("latin-1"), "front", environment)


def _as_json(text: str) -> bytes:
    return json.dumps(decode_yaml(text.encode()), default=str).encode()


def _texts() -> list[bytes]:
    run = decode_yaml(to_json(RunConfig(source="synthetic")).encode())
    small = {"source": "webcam", "window": {"frames": 5}, "model": {"threshold": 0.5}}
    texts = [camera_info_text(INFO), av_calib_text(CALIB), json.dumps(small), json.dumps(run)[:400]]
    return [
        *(t.encode() for t in texts),
        b"a: &x {b: 1}\nc: [*x, *x]\nd: {<<: *x, e: 0x1f}\nf: 2026-11-20",
        b"- |\n a\n",
    ]


TARGETS = (
    Target(
        name="yaml", decode=decode_yaml, seeds=_texts, refuses=(YamlError,), max_bytes=512,
        multiple=16, constant_bytes=8 * MIB,
    ),
    Target(
        name="settings", decode=_settings, form="json", multiple=64, constant_bytes=MIB,
        refuses=(ConfigError,),
        seeds=lambda: [to_json(RunConfig(source="synthetic")).encode(), b'{"source":"a.mp4"}'],
    ),
    Target(
        name="camera-info", decode=_from_json(_camera_info), form="json", multiple=64,
        seeds=lambda: [_as_json(camera_info_text(INFO))],
    ),
    Target(
        name="kalibr", decode=_from_json(_kalibr), form="json", multiple=64,
        seeds=lambda: [json.dumps(CHAIN).encode(), json.dumps({"cam0": CHAIN["cam0"]}).encode()],
    ),
    Target(
        name="av-calib", decode=_from_json(_av_calib), form="json", multiple=64,
        seeds=lambda: [_as_json(av_calib_text(CALIB))],
    ),
    Target(
        name="camera-info-url", decode=_url, max_bytes=256, refuses=(StreamAvsError,),
        seeds=lambda: [b"", b"file:///a/${NAME}.yaml", b"package://p/a.yaml", b"${ROS_HOME}/x", b"http://a"],
    ),
)  # fmt: skip
