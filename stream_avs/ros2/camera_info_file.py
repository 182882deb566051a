"""camera_info YAML files, as ROS camera drivers and calibrators write them (camera_calibration_parsers)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

from stream_avs.errors import ConfigError
from stream_avs.ros2.fields import CAMERA_INFO, Fields, Header, header_fields

_Side = Annotated[int, Meta(ge=1, le=65_535)]


class _Matrix(msgspec.Struct, frozen=True):
    rows: Annotated[int, Meta(ge=1, le=16)]
    cols: Annotated[int, Meta(ge=1, le=16)]
    data: Annotated[list[float], Meta(max_length=64)]


class _File(msgspec.Struct, frozen=True, kw_only=True):
    image_width: _Side
    image_height: _Side
    camera_matrix: _Matrix
    distortion_model: Literal["plumb_bob", "rational_polynomial", "equidistant"]
    distortion_coefficients: _Matrix
    rectification_matrix: _Matrix
    projection_matrix: _Matrix
    camera_name: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraCalibration:
    """Intrinsics of a camera, as in `sensor_msgs/CameraInfo`.

    Attributes:
        size: (width, height) of the picture they were found with, pixels.
        distortion_model: plumb_bob, rational_polynomial or equidistant.
        d: coefficients; k, r, p: matrices, row by row.
    """

    size: tuple[int, int]
    distortion_model: str
    d: tuple[float, ...]
    k: tuple[float, ...]
    r: tuple[float, ...]
    p: tuple[float, ...]

    def fields(self, header: Header) -> Fields:
        """`sensor_msgs/CameraInfo` beside an image with that header."""
        region = {"x_offset": 0, "y_offset": 0, "height": 0, "width": 0, "do_rectify": False}
        matrices = {name: np.array(getattr(self, name), np.float64) for name in ("d", "k", "r", "p")}
        return Fields(
            CAMERA_INFO,
            {
                "header": header_fields(header),
                "height": self.size[1],
                "width": self.size[0],
                "distortion_model": self.distortion_model,
                **matrices,
                "binning_x": 0,
                "binning_y": 0,
                "roi": Fields("sensor_msgs/msg/RegionOfInterest", region),
            },
        )


def load_camera_info(path: Path) -> CameraCalibration:
    """Read a camera_info YAML file.

    Raises:
        ConfigError: no such file, a key missing or of the wrong kind, a matrix of the wrong shape.
    """
    try:
        file = msgspec.yaml.decode(path.read_bytes(), type=_File, strict=False)
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise ConfigError(
            f"camera_info file {path} cannot be read: {error}",
            "Expected the YAML of a camera calibration, with camera_matrix, distortion_model, ...",
        ) from None
    shapes = {
        "camera_matrix": (3, 3),
        "rectification_matrix": (3, 3),
        "projection_matrix": (3, 4),
        "distortion_coefficients": (1, len(file.distortion_coefficients.data)),
    }
    for name, shape in shapes.items():
        matrix: _Matrix = getattr(file, name)
        if (matrix.rows, matrix.cols) != shape or len(matrix.data) != shape[0] * shape[1]:
            raise ConfigError(
                f"camera_info file {path}: {name} is {matrix.rows}x{matrix.cols},"
                f" with {len(matrix.data)} numbers",
                f"Expected {shape[0]}x{shape[1]}",
            )
        if not np.isfinite(matrix.data).all():
            raise ConfigError(f"camera_info file {path}: {name} is not finite", "Calibrate again")
    return CameraCalibration(
        size=(file.image_width, file.image_height),
        distortion_model=file.distortion_model,
        d=tuple(file.distortion_coefficients.data),
        k=tuple(file.camera_matrix.data),
        r=tuple(file.rectification_matrix.data),
        p=tuple(file.projection_matrix.data),
    )
