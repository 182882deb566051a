from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stream_avs.calibration.camera_info import (
    COEFFICIENTS,
    CameraInfo,
    camera_info_text,
    check_camera_name,
    projection_of,
    read_camera_info,
    write_camera_info,
)
from stream_avs.calibration.errors import CalibrationFileError
from stream_avs.errors import ConfigError

GOOD = """\
image_width: 640
image_height: 480
camera_name: front_2
camera_matrix:
  rows: 3
  cols: 3
  data: [620.5, 0, 320.25, 0, 619.0, 240.5, 0, 0, 1]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.25, 0.08, 1e-05, -5.5e-4, 0]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1, 0, 0, 0, 1, 0, 0, 0, 1]
projection_matrix:
  rows: 3
  cols: 4
  data: [600.0, 0, 321.0, 0, 0, 610.0, 241.0, 0, 0, 0, 1, 0]
"""

finite = st.floats(-1e6, 1e6)


@st.composite
def infos(draw: st.DrawFn) -> CameraInfo:
    width, height = draw(st.integers(16, 8000)), draw(st.integers(16, 8000))
    fx, fy = draw(st.floats(1e-3, 1e5)), draw(st.floats(1e-3, 1e5))
    matrix = (fx, 0.0, draw(st.floats(0, width)), 0.0, fy, draw(st.floats(0, height)), 0.0, 0.0, 1.0)
    model = draw(st.sampled_from(sorted(COEFFICIENTS)))
    count = draw(st.sampled_from(COEFFICIENTS[model]))
    return CameraInfo(
        camera_name=draw(st.from_regex(r"[A-Za-z0-9_]{1,12}", fullmatch=True)),
        width_px=width,
        height_px=height,
        distortion_model=model,
        distortion=tuple(draw(st.lists(finite, min_size=count, max_size=count))),
        camera_matrix=matrix,
        projection=projection_of(matrix),
    )


@given(info=infos())
def test_writing_and_reading_changes_nothing(
    info: CameraInfo, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("info") / "camera.yaml"
    write_camera_info(path, info)
    assert read_camera_info(path) == info


NAMELESS = CameraInfo(
    camera_name="", width_px=16, height_px=16, distortion_model="plumb_bob", distortion=(0.0,) * 5,
    camera_matrix=(9.0, 0.0, 8.0, 0.0, 9.0, 8.0, 0.0, 0.0, 1.0), projection=(0.0,) * 12,
)  # fmt: skip


@pytest.mark.parametrize("name", ["12", "1_000", "0x1F", "1e5", "No", "TRUE", "null", "_1", "y", "on"])
def test_names_that_yaml_takes_for_something_else_stay_names(name: str) -> None:
    text = camera_info_text(dataclasses.replace(NAMELESS, camera_name=name))
    assert yaml.safe_load(text)["camera_name"] == name


@given(info=infos())
def test_every_yaml_reader_finds_the_keys_ros_has(info: CameraInfo) -> None:
    raw = yaml.safe_load(camera_info_text(info))
    assert list(raw) == [
        "image_width", "image_height", "camera_name", "camera_matrix", "distortion_model",
        "distortion_coefficients", "rectification_matrix", "projection_matrix",
    ]  # fmt: skip
    assert isinstance(raw["camera_name"], str)
    for key, rows, columns in (
        ("camera_matrix", 3, 3),
        ("distortion_coefficients", 1, len(info.distortion)),
        ("rectification_matrix", 3, 3),
        ("projection_matrix", 3, 4),
    ):
        assert list(raw[key]) == ["rows", "cols", "data"]
        assert (raw[key]["rows"], raw[key]["cols"], len(raw[key]["data"])) == (rows, columns, rows * columns)
        assert all(isinstance(v, float) for v in raw[key]["data"])


def test_a_file_of_ros_is_read(tmp_path: Path) -> None:
    path = tmp_path / "front.yaml"
    path.write_text(GOOD + "extra_key_of_some_driver: 3\n")
    info = read_camera_info(path)
    assert (info.camera_name, info.width_px, info.height_px) == ("front_2", 640, 480)
    assert info.camera_matrix == (620.5, 0, 320.25, 0, 619.0, 240.5, 0, 0, 1)
    assert info.distortion == (-0.25, 0.08, 1e-05, -5.5e-4, 0)
    assert info.projection[0] == 600.0
    assert info.calibrated


def test_zero_means_not_calibrated(tmp_path: Path) -> None:
    path = tmp_path / "new.yaml"
    text = GOOD.replace("[620.5, 0, 320.25, 0, 619.0, 240.5, 0, 0, 1]", "[0, 0, 0, 0, 0, 0, 0, 0, 0]")
    text = text.replace("cols: 5\n  data: [-0.25, 0.08, 1e-05, -5.5e-4, 0]", "cols: 0\n  data: []")
    text = text.replace("[600.0, 0, 321.0, 0, 0, 610.0, 241.0, 0, 0, 0, 1, 0]", str([0] * 12))
    path.write_text(text)
    assert not read_camera_info(path).calibrated


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("image_width: 640\n", "", "image_width is missing"),
        ("image_width: 640", "image_widht: 640", "image_width is missing. Did you mean 'image_widht'?"),
        ("image_width: 640", "image_width: 0", "image_width is 0. Expected a whole number in 1..100000"),
        ("image_width: 640", "image_width: 640.5", "image_width is 640.5"),
        ("image_height: 480", "image_height: true", "image_height is True"),
        ("front_2", "front camera", "camera_name is 'front camera'. Expected letters, digits and _ only"),
        ("front_2", "[1]", "camera_name is [1]. Expected a text"),
        ("plumb_bob", "plumbbob", "distortion_model is 'plumbbob'. Did you mean 'plumb_bob'?"),
        ("plumb_bob", "equidistant", "distortion_coefficients.data is [-0.25, 0.08, "),
        ("plumb_bob", "rational_polynomial", "Expected a list of 8 finite numbers"),
        ("  cols: 5", "  cols: 4", "distortion_coefficients.cols is 4"),
        ("rows: 3\n  cols: 3\n  data: [620", "rows: 4\n  cols: 3\n  data: [620", "camera_matrix.rows is 4"),
        ("[620.5, 0, ", "[620.5, ", "camera_matrix.data is [620.5, 320.25, "),
        ("620.5", ".nan", "Expected a list of 9 finite numbers"),
        ("620.5", "-620.5", "Expected positive focal lengths"),
        ("620.5", "wide", "Expected a list of 9 finite numbers"),
        ("320.25", "720", "Expected a principal point inside 640x480"),
        ("240.5, 0, 0, 1]", "240.5, 0, 0, 2]", "Expected the rows fx s cx, 0 fy cy, 0 0 1"),
        ("[1, 0, 0, 0, 1, 0, 0, 0, 1]", "[1, 0, 0, 0, 1, 0, 0, 0, -1]", "Expected a rotation"),
        ("600.0, 0, 321.0", "-600.0, 0, 321.0", "projection_matrix.data is [-600.0"),
        ("projection_matrix:\n  rows: 3\n  cols: 4\n  data:", "projection_matrix:", "Expected keys and"),
        (GOOD, "- 1\n- 2\n", "does not hold keys and values"),
        (GOOD, "a: [1, 2\n", "is not YAML"),
        (GOOD, "a: !!opencv-matrix\n  rows: 3\n", "is not YAML"),
        (GOOD, "a: !!python/object/apply:os.getcwd []\n", "is not YAML"),
        (GOOD, "", "does not hold keys and values"),
        (GOOD, "{}", "image_width is missing|camera_name is missing"),
        (GOOD, "1: 2\n", "does not hold keys and values"),
        (GOOD, "#" * 1_000_001, "is larger than 262144 bytes"),
    ],
)  # fmt: skip
def test_every_mistake_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "front.yaml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(CalibrationFileError) as caught:
        read_camera_info(path)
    assert any(part in str(caught.value) for part in message.split("|"))
    assert "front.yaml" in str(caught.value)
    assert caught.value.next_step


def test_missing_and_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(CalibrationFileError, match=r"none\.yaml does not exist"):
        read_camera_info(tmp_path / "none.yaml")
    with pytest.raises(CalibrationFileError, match="is a directory"):
        read_camera_info(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(bytes(range(256)))
    with pytest.raises(CalibrationFileError, match="is not YAML"):
        read_camera_info(tmp_path / "binary.yaml")


def test_writing_where_nothing_can_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    info = CameraInfo(
        camera_name="c", width_px=1, height_px=1, distortion_model="plumb_bob", distortion=(0.0,) * 5,
        camera_matrix=(1.0, 0, 0, 0, 1, 0, 0, 0, 1), projection=(0.0,) * 12,
    )  # fmt: skip
    with pytest.raises(ConfigError, match="cannot write"):
        write_camera_info(tmp_path / "file" / "camera.yaml", info)


@pytest.mark.parametrize(
    ("name", "good"), [("a_B9", True), ("", False), ("a-b", False), ("ä", False), ("a\n", False)]
)
def test_camera_names(name: str, good: bool) -> None:
    assert check_camera_name(name) is good
