from __future__ import annotations

import os
from pathlib import Path

import pytest

from stream_avs.calibration.camera_info_url import camera_info_path
from stream_avs.calibration.errors import CalibrationFileError


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("", "/home/me/.ros/camera_info/front.yaml"),
        ("file:///etc/cameras/${NAME}.yaml", "/etc/cameras/front.yaml"),
        ("file://${ROS_HOME}/${NAME}_a.yaml", "/home/me/.ros/front_a.yaml"),
        ("calib/front.yaml", "calib/front.yaml"),
    ],
)
def test_addresses(url: str, path: str) -> None:
    assert camera_info_path(url, "front", {"ROS_HOME": "/home/me/.ros"}) == Path(path)


def test_without_ros_home_the_default_of_ros_is_used() -> None:
    assert camera_info_path("", "front", {}) == Path.home() / ".ros/camera_info/front.yaml"


def test_packages_are_looked_for_in_all_workspaces(tmp_path: Path) -> None:
    (tmp_path / "second/share/robot").mkdir(parents=True)
    prefixes = os.pathsep.join(str(tmp_path / name) for name in ("first", "second"))
    found = camera_info_path("package://robot/calib/${NAME}.yaml", "front", {"AMENT_PREFIX_PATH": prefixes})
    assert found == tmp_path / "second/share/robot/calib/front.yaml"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("package://robot/front.yaml", "package 'robot' is not installed"),
        ("http://host/front.yaml", "has scheme 'http'"),
        ("file:///${HOME}/front.yaml", "unknown variable"),
    ],
)
def test_mistakes_are_named(url: str, message: str) -> None:
    with pytest.raises(CalibrationFileError, match=message):
        camera_info_path(url, "front", {})
