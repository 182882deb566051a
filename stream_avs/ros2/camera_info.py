"""`sensor_msgs/CameraInfo` of a calibrated camera, and of a picture that is a scaled copy of its."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream_avs.calibration.camera_info import CameraInfo
from stream_avs.ros2.fields import CAMERA_INFO, Fields, Header, header_fields
from stream_avs.types import Affine


def camera_info_for_mask(info: Any, transform: Affine, mask_size: tuple[int, int], header: Header) -> Fields:
    """CameraInfo that fits a mask published at network size.

    With x_mask = (x_src - c) / a the focal length becomes fx / a and the centre (cx - c) / a; the same
    holds for P. Distortion works on normalised coordinates and stays. Binning and region of interest
    of the camera are already part of its picture, so they are cleared.

    Args:
        info: CameraInfo of the source image, as received.
        transform: mask to source pixel centres, scale and shift only.
        mask_size: (width, height) of the mask.
        header: stamp and frame of the mask.

    Raises:
        ValueError: the transform rotates or shears.
    """
    a, b, c, d, e, f = transform
    if b != 0 or d != 0 or a == 0 or e == 0:
        raise ValueError(f"transform {transform} is not made of scale and shift alone")
    to_mask = np.array([[1 / a, 0, -c / a], [0, 1 / e, -f / e], [0, 0, 1]])
    k = to_mask @ np.asarray(info.k, np.float64).reshape(3, 3)
    p = to_mask @ np.asarray(info.p, np.float64).reshape(3, 4)
    return _fields(header, mask_size, str(info.distortion_model), d=info.d, k=k, r=info.r, p=p)


def camera_info_fields(info: CameraInfo, header: Header) -> Fields:
    """CameraInfo of a calibrated camera, beside an image with that header."""
    return _fields(
        header,
        (info.width_px, info.height_px),
        info.distortion_model,
        d=info.distortion,
        k=info.camera_matrix,
        r=info.rectification,
        p=info.projection,
    )


def _fields(header: Header, size: tuple[int, int], model: str, **matrices: Any) -> Fields:
    region = {"x_offset": 0, "y_offset": 0, "height": 0, "width": 0, "do_rectify": False}
    return Fields(
        CAMERA_INFO,
        {
            "header": header_fields(header),
            "height": size[1],
            "width": size[0],
            "distortion_model": model,
            **{name: np.array(matrix, np.float64).reshape(-1) for name, matrix in matrices.items()},
            "binning_x": 0,
            "binning_y": 0,
            "roi": Fields("sensor_msgs/msg/RegionOfInterest", region),
        },
    )
