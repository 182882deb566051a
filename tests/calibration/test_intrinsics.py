"""Rendered boards with known intrinsics: focal lengths to 0.5 %, and refusals where views do not suffice."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest
from board_scene import FISHEYE, Lens, film_views, poses, projected_views
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_avs.calibration.boards import BoardConfig, BoardKind, Found
from stream_avs.calibration.camera_info import projection_of
from stream_avs.calibration.errors import CalibrationError
from stream_avs.calibration.intrinsics import IntrinsicsConfig, calibrate_camera
from stream_avs.calibration.intrinsics_plot import draw_intrinsics
from stream_avs.calibration.lens import LensModel
from stream_avs.calibration.views import View
from stream_avs.errors import ConfigError

CHARUCO = BoardConfig()
CHECKERBOARD = BoardConfig(kind=BoardKind.CHECKERBOARD)
TRUE = Lens()
WIDE = Lens(distortion=(0.3, 0.1, 0.001, 0.0, 0.05, 0.5, 0.05, 0.1))


@cache
def charuco_views() -> tuple[View, ...]:
    return tuple(film_views(CHARUCO, TRUE, poses(CHARUCO, TRUE, 18, seed=0)))


def check_focal(lens: Lens, k: tuple[float, ...], tolerance: float = 0.005) -> None:
    assert k[0] == pytest.approx(lens.fx, rel=tolerance)
    assert k[4] == pytest.approx(lens.fy, rel=tolerance)
    assert k[2] == pytest.approx(lens.cx, abs=3)
    assert k[5] == pytest.approx(lens.cy, abs=3)


def test_charuco() -> None:
    result = calibrate_camera(charuco_views(), "front")
    info = result.info
    check_focal(TRUE, info.camera_matrix, 0.001)
    assert info.distortion == pytest.approx(TRUE.distortion, abs=0.02)
    assert (info.width_px, info.height_px, info.camera_name) == (640, 480, "front")
    assert info.distortion_model == "plumb_bob"
    assert info.projection == projection_of(info.camera_matrix)
    assert result.rms_px < 0.15
    assert result.focal_error < 0.001
    assert result.coverage > 0.8
    assert result.dropped == ()
    assert len(result.views) == len(result.view_rms_px) == 18


def test_checkerboard() -> None:
    views = film_views(CHECKERBOARD, TRUE, poses(CHECKERBOARD, TRUE, 24, seed=1))
    assert 10 <= len(views) < 24  # it must be seen as a whole
    check_focal(TRUE, calibrate_camera(views, "front").info.camera_matrix)


def test_rational_polynomial() -> None:
    views = film_views(CHARUCO, WIDE, poses(CHARUCO, WIDE, 16, seed=2))
    info = calibrate_camera(views, "wide", IntrinsicsConfig(model=LensModel.RATIONAL_POLYNOMIAL)).info
    check_focal(WIDE, info.camera_matrix)
    assert len(info.distortion) == 8


def test_fisheye() -> None:
    views = film_views(CHARUCO, FISHEYE, poses(CHARUCO, FISHEYE, 22, seed=0, near=(0.4, 1.0)))
    result = calibrate_camera(views, "fisheye", IntrinsicsConfig(model=LensModel.EQUIDISTANT))
    check_focal(FISHEYE, result.info.camera_matrix)
    assert len(result.info.distortion) == 4
    assert 0 < result.focal_error < 0.005


def test_a_bent_view_is_left_out() -> None:
    views = list(charuco_views())
    found = views[3].found
    bent = found.points + np.stack([4 * np.sin(found.points[:, 1] / 40), np.zeros(len(found.points))], axis=1)
    bad = Found(ids=found.ids, points=bent.astype(np.float32), on_board=found.on_board)
    views[3] = dataclasses.replace(views[3], found=bad)
    result = calibrate_camera(views, "front")
    assert [(v.name, reason.startswith("error")) for v, reason in result.dropped] == [(views[3].name, True)]
    check_focal(TRUE, result.info.camera_matrix, 0.002)


def test_a_stray_corner_is_left_out() -> None:
    views = list(charuco_views())
    points = views[5].found.points.copy()
    points[2] += (9, -7)
    found = dataclasses.replace(views[5].found, points=points)
    result = calibrate_camera([*views[:5], dataclasses.replace(views[5], found=found), *views[6:]], "front")
    assert result.dropped == ()
    used = result.views[5].found
    assert len(used.ids) == len(found.ids) - 1
    assert found.ids[2] not in used.ids
    check_focal(TRUE, result.info.camera_matrix, 0.002)


def test_alike_and_blurred_views_are_left_out() -> None:
    views = list(charuco_views())
    blurred = dataclasses.replace(views[0], name="blurred", edge_px=9.0)
    result = calibrate_camera([*views, dataclasses.replace(views[1], name="again"), blurred], "front")
    assert {v.name: reason for v, reason in result.dropped} == {
        "again": "like another view", "blurred": "blurred, edges 9.0 px",
    }  # fmt: skip


def wrong_board() -> list[View]:
    # The board was taken for one of other proportions.
    views = []
    for view in charuco_views():
        stretched = view.found.on_board * np.array([1.3, 1, 1], np.float32)
        views.append(dataclasses.replace(view, found=dataclasses.replace(view.found, on_board=stretched)))
    for index in range(0, len(views), 2):
        found = views[index].found
        shuffled = np.random.default_rng(index).permutation(found.on_board)
        views[index] = dataclasses.replace(views[index], found=dataclasses.replace(found, on_board=shuffled))
    return views


@pytest.mark.parametrize(
    ("views", "message"),
    [
        (lambda: [], "found in 0 views, 10 are needed"),
        (lambda: charuco_views()[:9], "found in 9 views, 10 are needed"),
        (lambda: [charuco_views()[0]] * 12, "of 12 sharp views 1 differ"),
        (lambda: [dataclasses.replace(v, edge_px=8.0) for v in charuco_views()], "of 18 views 0 are sharp"),
        (wrong_board, "do not fit|RMS reprojection error|principal point"),
    ],
    ids=["none", "few", "alike", "blurred", "wrong board"],
)
def test_refusals(views: object, message: str) -> None:
    with pytest.raises(CalibrationError, match=message) as caught:
        calibrate_camera(views(), "front")  # type: ignore[operator]
    assert caught.value.next_step


def test_a_board_that_always_faces_the_camera_is_refused() -> None:
    views = projected_views(CHARUCO, TRUE, poses(CHARUCO, TRUE, 30, seed=3, tilt=0.03))
    with pytest.raises(CalibrationError, match="always faces the camera"):
        calibrate_camera(views, "front")


def test_a_board_in_one_corner_is_refused() -> None:
    some = [
        (turn, move * 2 + (-150, -110, 0)) for turn, move in poses(CHARUCO, TRUE, 30, seed=4, near=(1.0, 1.3))
    ]
    views = [v for v in projected_views(CHARUCO, TRUE, some) if v.place[0] < 0.45 and v.place[1] < 0.45]
    with pytest.raises(CalibrationError, match=r"corners were seen in \d+% of the picture"):
        calibrate_camera(views, "front", IntrinsicsConfig())


@settings(deadline=None, max_examples=10)
@given(
    fx=st.floats(300, 1500), ratio=st.floats(0.95, 1.05), k1=st.floats(-0.3, 0.2), seed=st.integers(0, 1000)
)
def test_focal_lengths_to_half_a_percent_or_refused(fx: float, ratio: float, k1: float, seed: int) -> None:
    lens = Lens(fx=fx, fy=fx * ratio, distortion=(k1, 0.02, 0.0005, -0.0005, 0.0))
    views = projected_views(CHARUCO, lens, poses(CHARUCO, lens, 30, seed=seed))
    try:
        k = calibrate_camera(views, "front").info.camera_matrix
    except CalibrationError:
        return
    assert k[0] == pytest.approx(lens.fx, rel=0.005)
    assert k[4] == pytest.approx(lens.fy, rel=0.005)


def test_uncertain_focal_length_is_refused() -> None:
    with pytest.raises(CalibrationError, match=r"uncertain by 0\.\d+%, at most 0\.01%"):
        calibrate_camera(charuco_views(), "front", IntrinsicsConfig(max_focal_error=0.0001))


def test_pictures_of_two_sizes_are_refused() -> None:
    views = [*charuco_views(), dataclasses.replace(charuco_views()[0], size_px=(320, 240))]
    with pytest.raises(CalibrationError, match=r"320x240 \(00\), 640x480 \(00\)"):
        calibrate_camera(views, "front")


def test_a_name_ros_refuses_is_refused() -> None:
    with pytest.raises(ConfigError, match="camera_name is 'front camera'"):
        calibrate_camera(charuco_views(), "front camera")


@pytest.mark.parametrize(
    "wrong",
    [{"min_views": 3}, {"min_coverage": 1.1}, {"max_rms_px": 0.0}, {"max_focal_error": 0.0}],
    ids=lambda w: next(iter(w)),
)
def test_settings_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        IntrinsicsConfig(**wrong)  # type: ignore[arg-type]


def test_plot_shows_every_corner() -> None:
    result = calibrate_camera(charuco_views(), "front")
    image = draw_intrinsics(result, "rendered").image
    scale = min(600 / 640, 440 / 480)
    for view in result.views[:3]:
        for x, y in view.found.points:
            pixel = image[120 + round(y * scale), 70 + round(x * scale)]
            assert pixel[1] < 150  # a dot, blue or red, where the ground is white or light green
