"""`sensor_msgs/CameraInfo` of a picture that is a scaled, shifted copy of the camera's."""

from __future__ import annotations

from typing import Any

import numpy as np

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
    region = {"x_offset": 0, "y_offset": 0, "height": 0, "width": 0, "do_rectify": False}
    return Fields(
        CAMERA_INFO,
        {
            "header": header_fields(header),
            "height": mask_size[1],
            "width": mask_size[0],
            "distortion_model": str(info.distortion_model),
            "d": np.array(info.d, np.float64),
            "k": k.reshape(-1),
            "r": np.array(info.r, np.float64).reshape(-1),
            "p": p.reshape(-1),
            "binning_x": 0,
            "binning_y": 0,
            "roi": Fields("sensor_msgs/msg/RegionOfInterest", region),
        },
    )
