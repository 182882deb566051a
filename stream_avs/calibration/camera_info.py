"""Camera intrinsics in the YAML form that ROS drivers read and write (`camera_calibration_parsers`).

The keys are ROS's, exactly. As in `sensor_msgs/CameraInfo`, a zero in the upper left of the camera
matrix means that the camera is not calibrated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stream_avs.calibration.errors import CalibrationFileError
from stream_avs.calibration.yaml_file import Keys, number_text, read_keys, write_text
from stream_avs.errors import nearest

NAME = re.compile(r"[A-Za-z0-9_]+")
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
YAML_WORDS = frozenset({"y", "yes", "n", "no", "on", "off", "true", "false", "null"})

COEFFICIENTS: dict[str, tuple[int, ...]] = {
    "plumb_bob": (5, 4),  # k1 k2 p1 p2 [k3]
    "rational_polynomial": (8,),  # k1 k2 p1 p2 k3 k4 k5 k6
    "equidistant": (4,),  # k1 k2 k3 k4 of a fisheye lens (Kannala-Brandt)
}
"""Distortion models and how many coefficients each has."""

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraInfo:
    """Intrinsics of one camera; matrices row by row.

    Attributes:
        camera_name: letters, digits and _.
        width_px, height_px: picture size the intrinsics hold for.
        distortion_model: a key of `COEFFICIENTS`.
        distortion: coefficients, in OpenCV's order.
        camera_matrix: K, 9 numbers: fx 0 cx, 0 fy cy, 0 0 1, in pixels.
        rectification: R, 9 numbers; the identity for a single camera.
        projection: P, 12 numbers; of the rectified picture.
    """

    camera_name: str
    width_px: int
    height_px: int
    distortion_model: str
    distortion: tuple[float, ...]
    camera_matrix: tuple[float, ...]
    rectification: tuple[float, ...] = IDENTITY
    projection: tuple[float, ...]

    @property
    def calibrated(self) -> bool:
        """False when the camera matrix says that it has never been calibrated."""
        return self.camera_matrix[0] != 0.0


def projection_of(camera_matrix: tuple[float, ...]) -> tuple[float, ...]:
    """P of a single camera whose rectified picture keeps K: K with a column of zeros."""
    k = camera_matrix
    return (*k[0:3], 0.0, *k[3:6], 0.0, *k[6:9], 0.0)


def check_camera_name(name: str) -> bool:
    """Whether ROS takes this for a camera name."""
    return NAME.fullmatch(name) is not None


def read_camera_info(path: Path) -> CameraInfo:
    """Read a ROS camera_info YAML file; keys that ROS does not know are passed over, as ROS does.

    Raises:
        CalibrationFileError: missing, not YAML, or a value that cannot be; names file, key and value.
    """
    return camera_info_of(read_keys(path, "camera_info file"))


def camera_info_of(keys: Keys) -> CameraInfo:
    """The content of a camera_info file; see `read_camera_info`."""
    name = keys.text("camera_name")
    if not check_camera_name(name):
        raise keys.wrong("camera_name", name, "letters, digits and _ only")
    model = keys.text("distortion_model")
    if model not in COEFFICIENTS:
        raise CalibrationFileError(
            f"{keys.path}: distortion_model is {model!r}", nearest(model, COEFFICIENTS)
        )
    camera_matrix = _matrix(keys, "camera_matrix", 3, 3)
    calibrated = camera_matrix[0] != 0.0
    counts = COEFFICIENTS[model] if calibrated else (*COEFFICIENTS[model], 0)
    info = CameraInfo(
        camera_name=name,
        width_px=keys.whole("image_width", 1, 100_000),
        height_px=keys.whole("image_height", 1, 100_000),
        distortion_model=model,
        distortion=_row(keys, "distortion_coefficients", counts),
        camera_matrix=camera_matrix,
        rectification=_matrix(keys, "rectification_matrix", 3, 3),
        projection=_matrix(keys, "projection_matrix", 3, 4),
    )
    if calibrated:
        _check(keys, info)
    return info


def write_camera_info(path: Path, info: CameraInfo) -> None:
    """Write a ROS camera_info YAML file; raises ConfigError when that is not possible."""
    write_text(path, camera_info_text(info))


def camera_info_text(info: CameraInfo) -> str:
    """The file's text, in the layout that ROS's own tools write."""
    lines = [
        f"image_width: {info.width_px}",
        f"image_height: {info.height_px}",
        f"camera_name: {_plain_or_quoted(info.camera_name)}",
        *_matrix_lines("camera_matrix", 3, 3, info.camera_matrix),
        f"distortion_model: {info.distortion_model}",
        *_matrix_lines("distortion_coefficients", 1, len(info.distortion), info.distortion),
        *_matrix_lines("rectification_matrix", 3, 3, info.rectification),
        *_matrix_lines("projection_matrix", 3, 4, info.projection),
    ]
    return "\n".join(lines) + "\n"


def _plain_or_quoted(name: str) -> str:
    """Quote what YAML would take for a number, a truth value or nothing, e.g. 1_000 or No."""
    return name if PLAIN.fullmatch(name) and name.lower() not in YAML_WORDS else f'"{name}"'


def _matrix_lines(key: str, rows: int, columns: int, data: tuple[float, ...]) -> list[str]:
    values = ", ".join(number_text(v) for v in data)
    return [f"{key}:", f"  rows: {rows}", f"  cols: {columns}", f"  data: [{values}]"]


def _matrix(keys: Keys, key: str, rows: int, columns: int) -> tuple[float, ...]:
    matrix = keys.mapping(key)
    _shape(matrix, "rows", rows)
    _shape(matrix, "cols", columns)
    return matrix.numbers("data", rows * columns)


def _row(keys: Keys, key: str, counts: tuple[int, ...]) -> tuple[float, ...]:
    matrix = keys.mapping(key)
    data = matrix.numbers("data", counts)
    rows, columns = matrix.whole("rows", 0, 100), matrix.whole("cols", 0, 100)
    if rows * columns != len(data):
        raise matrix.wrong("cols", columns, f"rows times cols to be {len(data)}, the length of data")
    return data


def _shape(matrix: Keys, key: str, expected: int) -> None:
    found = matrix.raw(key)
    if isinstance(found, bool) or found != expected:
        raise matrix.wrong(key, found, str(expected))


def _check(keys: Keys, info: CameraInfo) -> None:
    """Refuse numbers no camera has."""
    k, p = info.camera_matrix, info.projection
    if k[0] < 0 or k[4] <= 0:
        raise keys.wrong("camera_matrix.data", list(k), "positive focal lengths at the 1st and 5th place")
    if k[3] != 0 or k[6] != 0 or k[7] != 0 or k[8] != 1:
        raise keys.wrong("camera_matrix.data", list(k), "the rows fx s cx, 0 fy cy, 0 0 1")
    if not (0 <= k[2] <= info.width_px and 0 <= k[5] <= info.height_px):
        expected = f"a principal point inside {info.width_px}x{info.height_px} at the 3rd and 6th place"
        raise keys.wrong("camera_matrix.data", list(k), expected)
    if p[0] <= 0 or p[5] <= 0 or p[8:11] != (0.0, 0.0, 1.0):
        raise keys.wrong("projection_matrix.data", list(p), "the rows fx 0 cx Tx, 0 fy cy Ty, 0 0 1 0")
    r = np.array(info.rectification).reshape(3, 3)
    if not np.allclose(r @ r.T, np.eye(3), atol=1e-3) or np.linalg.det(r) < 0:
        raise keys.wrong("rectification_matrix.data", list(info.rectification), "a rotation")
