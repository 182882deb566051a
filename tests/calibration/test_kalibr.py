from __future__ import annotations

import datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stream_avs.calibration.av_calib import read_av_calib, write_av_calib
from stream_avs.calibration.camera_info import read_camera_info, write_camera_info
from stream_avs.calibration.errors import CalibrationFileError
from stream_avs.calibration.kalibr import av_calib_of, read_kalibr, shift_of

CHAIN = """\
cam0:
  cam_overlaps: [1]
  camera_model: pinhole
  distortion_coeffs: [-0.294719325148729, 0.08601391290708914, -0.0003238494917967041, -0.000419999598260338]
  distortion_model: radtan
  intrinsics: [461.487246372674, 460.1113992557959, 356.39105303227853, 231.15719697054647]
  resolution: [752, 480]
  rostopic: /cam0/image_raw
  T_cam_imu:
  - [0.01779318, 0.99967549, -0.01822936, 0.07008565]
  - [-0.9998017, 0.01795239, 0.00860714, -0.01771023]
  - [0.00893160, 0.01807260, 0.99979678, 0.00399246]
  - [0.0, 0.0, 0.0, 1.0]
  timeshift_cam_imu: -8.121e-05
cam1:
  camera_model: pinhole
  distortion_coeffs: [0.01, -0.002, 0.0005, -0.0001]
  distortion_model: equidistant
  intrinsics: [380.0, 381.0, 370.0, 245.0]
  resolution: [752, 480]
"""

NOW = datetime.datetime(2027, 3, 1, tzinfo=datetime.UTC)


def chain(tmp_path: Path, text: str = CHAIN) -> Path:
    path = tmp_path / "camchain.yaml"
    path.write_text(text)
    return path


def test_a_chain_of_two_becomes_two_cameras(tmp_path: Path) -> None:
    first, second = read_kalibr(chain(tmp_path))
    assert (first.key, first.topic, second.key, second.topic) == ("cam0", "/cam0/image_raw", "cam1", "")
    assert first.info.distortion_model == "plumb_bob"
    assert first.info.distortion == (
        -0.294719325148729, 0.08601391290708914, -0.0003238494917967041, -0.000419999598260338, 0.0,
    )  # fmt: skip
    assert first.info.camera_matrix[:3] == (461.487246372674, 0.0, 356.39105303227853)
    assert (first.info.width_px, first.info.height_px) == (752, 480)
    assert second.info.distortion_model == "equidistant"
    assert second.info.distortion == (0.01, -0.002, 0.0005, -0.0001)
    assert [c.info.camera_name for c in read_kalibr(chain(tmp_path), "front")] == ["front_cam0", "front_cam1"]


numbers = st.floats(-0.3, 0.3)


@given(
    focal=st.tuples(st.floats(100, 3000), st.floats(100, 3000)),
    centre=st.tuples(st.floats(0, 640), st.floats(0, 480)),
    coefficients=st.lists(numbers, min_size=4, max_size=4),
    model=st.sampled_from(["radtan", "equidistant", "none"]),
    shift_s=st.none() | st.floats(-2, 2),
)
def test_round_trip(
    focal: tuple[float, float], centre: tuple[float, float], coefficients: list[float], model: str,
    shift_s: float | None, tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp("kalibr")
    camera = {
        "camera_model": "pinhole",
        "intrinsics": [*focal, *centre],
        "distortion_model": model,
        "distortion_coeffs": [] if model == "none" else coefficients,
        "resolution": [640, 480],
    }
    if shift_s is not None:
        camera["timeshift_cam_mic"] = shift_s
    # Kalibr writes what PyYAML writes, numbers like 1e-05 included.
    (imported,) = read_kalibr(chain(folder, yaml.safe_dump({"cam0": camera})), "front")
    write_camera_info(folder / "front.yaml", imported.info)
    info = read_camera_info(folder / "front.yaml")
    assert info == imported.info
    assert (info.camera_matrix[0], info.camera_matrix[4]) == focal
    assert (info.camera_matrix[2], info.camera_matrix[5]) == centre
    assert info.distortion[:4] == (tuple(coefficients) if model != "none" else (0.0,) * 4)
    found_s = shift_of(imported, microphone_on_imu_clock=False)
    assert found_s == shift_s
    if found_s is not None:
        write_av_calib(folder / "av_calib.yaml", av_calib_of(imported, found_s, NOW))
        assert read_av_calib(folder / "av_calib.yaml").timeshift_cam_mic_s == shift_s


def test_points_land_where_kalibr_puts_them(tmp_path: Path) -> None:
    # Kalibr's own formulas: radial-tangential, and the angle polynomial of Kannala and Brandt.
    first, second = (camera.info for camera in read_kalibr(chain(tmp_path)))
    point = np.array([0.3, -0.2, 1.0])
    x, y = point[:2]
    k1, k2, p1, p2, _ = first.distortion
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2 * r2
    by_hand = np.array(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + 2 * p2 * x * y + p1 * (r2 + 2 * y * y),
        ]
    )
    matrix = np.array(first.camera_matrix).reshape(3, 3)
    projected, _ = cv2.projectPoints(
        point[None], np.zeros(3), np.zeros(3), matrix, np.array(first.distortion)
    )
    assert projected.ravel() == pytest.approx(matrix[:2, :2] @ by_hand + matrix[:2, 2], abs=1e-6)
    angle = np.arctan(np.sqrt(r2))
    bent = angle * (1 + sum(k * angle ** (2 * i + 2) for i, k in enumerate(second.distortion)))
    matrix = np.array(second.camera_matrix).reshape(3, 3)
    projected, _ = cv2.fisheye.projectPoints(
        point[None, None], np.zeros(3), np.zeros(3), matrix, np.array(second.distortion)
    )
    by_hand = np.array([x, y]) * bent / np.sqrt(r2)
    assert projected.ravel() == pytest.approx(matrix[:2, :2] @ by_hand + matrix[:2, 2], abs=1e-6)


def test_the_shift_to_an_imu_is_not_taken_for_one_to_a_microphone(tmp_path: Path) -> None:
    first, second = read_kalibr(chain(tmp_path))
    assert first.timeshift_cam_imu_s == -8.121e-05
    assert shift_of(first, microphone_on_imu_clock=False) is None
    assert shift_of(first, microphone_on_imu_clock=True) == -8.121e-05
    assert shift_of(second, microphone_on_imu_clock=True) is None
    calib = av_calib_of(first, -8.121e-05, NOW)
    assert (calib.method, calib.camera, calib.events) == ("kalibr", "/cam0/image_raw", 0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "camera_model: pinhole",
            "camera_model: omni",
            "cam0.camera_model is 'omni'. Expected one of pinhole",
        ),
        ("distortion_model: radtan", "distortion_model: fov", "cam0.distortion_model is 'fov'"),
        ("  intrinsics: [461.487246372674, ", "  intrinsics: [", "cam0.intrinsics is [460.1113992557959, "),
        ("461.487246372674", "-461.5", "Expected positive fu, fv"),
        ("356.39105303227853", "900", "a principal point inside 752x480"),
        ("[752, 480]", "[752]", "cam0.resolution is [752]"),
        ("[752, 480]", "[752.5, 480]", "cam0.resolution is 752.5"),
        ("[752, 480]", "[0, 480]", "cam0.resolution is 0"),
        ("  resolution: [752, 480]\n  rostopic", "  rostopic", "cam0.resolution is missing"),
        ("-0.0003238494917967041, -0.000419999598260338]", "-0.0003]", "cam0.distortion_coeffs is "),
        ("timeshift_cam_imu: -8.121e-05", "timeshift_cam_imu: 3.0", "Expected a finite number in -2..2"),
        ("rostopic: /cam0/image_raw", "rostopic: 5", "cam0.rostopic is 5. Expected a text"),
        (CHAIN, "camera: {}\n", "holds no camera (cam0, cam1, ...)"),
        (CHAIN, "cam0: 5\n", "cam0 is 5. Expected keys and values below it"),
        (CHAIN, "cam0: {}\n", "cam0.camera_model is missing"),
    ],
)
def test_every_mistake_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in CHAIN
    with pytest.raises(CalibrationFileError) as caught:
        read_kalibr(chain(tmp_path, CHAIN.replace(old, new, 1)))
    assert message in str(caught.value)
    assert "camchain.yaml" in str(caught.value)
