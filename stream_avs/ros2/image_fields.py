"""Pictures, masks and confidence as ROS image messages, at most 0.5 ms for 640x480.

Class ids travel as `mono8` (0 not sounding, 255 reserved as UNLABELED, as `vision_msgs/LabelInfo` asks),
never as black and white. The compressed twin is PNG: JPEG would invent ids.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_avs.publish.png import encode_png
from stream_avs.ros2.fields import (
    COMPRESSED_IMAGE,
    IMAGE,
    LABEL_INFO,
    VISION_CLASS,
    Fields,
    Header,
    header_fields,
)
from stream_avs.types import Affine, ClassMap, Image, MaskResult

UNLABELED = 255
PNG_FORMAT = "mono8; png compressed mono8"
"""As image_transport writes it: encoding of the picture; codec and encoding of the file."""

Index = NDArray[np.intp]


def image_fields(pixels: NDArray[np.uint8] | NDArray[np.float32], encoding: str, header: Header) -> Fields:
    """`sensor_msgs/Image` of uint8 or float32 [H, W] or [H, W, C].

    Args:
        pixels: copied only if not contiguous.
        encoding: e.g. "mono8", "rgb8", "32FC1"; must fit the array.
        header: stamp and frame.
    """
    rows: NDArray[Any] = np.ascontiguousarray(pixels)
    height, width = rows.shape[:2]
    return Fields(
        IMAGE,
        {
            "header": header_fields(header),
            "height": height,
            "width": width,
            "encoding": encoding,
            "is_bigendian": int(sys.byteorder == "big"),
            "step": rows.strides[0],
            "data": rows.reshape(-1).view(np.uint8),
        },
    )


def png_fields(mask: ClassMap, header: Header) -> Fields:
    """`sensor_msgs/CompressedImage` with a mask uint8 [h, w] as a grey PNG file."""
    return compressed_fields(encode_png(mask), PNG_FORMAT, header)


def compressed_fields(data: bytes, fmt: str, header: Header) -> Fields:
    """`sensor_msgs/CompressedImage` of a whole picture file."""
    return Fields(
        COMPRESSED_IMAGE,
        {"header": header_fields(header), "format": fmt, "data": np.frombuffer(data, np.uint8)},
    )


def label_info_fields(labels: dict[int, str], threshold: float, header: Header) -> Fields:
    """`vision_msgs/LabelInfo`: name of every class id, with id 0 as "not_sounding".

    Args:
        labels: names of ids 1..254.
        threshold: score above which a pixel sounds, 0..1.
        header: stamp and frame.
    """
    names = {0: "not_sounding", **labels}
    classes = tuple(
        Fields(VISION_CLASS, {"class_id": class_id, "class_name": name})
        for class_id, name in sorted(names.items())
    )
    values = {"header": header_fields(header), "class_map": classes, "threshold": float(threshold)}
    return Fields(LABEL_INFO, values)


def mask_at_source(result: MaskResult) -> ClassMap:
    """Class ids at the resolution of the source image, uint8 [H, W].

    Each source pixel takes the nearest mask pixel; what the mask does not cover is `UNLABELED`.
    """
    return _at_source(result, result.mask, UNLABELED)


def confidence_at_source(result: MaskResult) -> NDArray[np.float32]:
    """Probability of the winning class at the resolution of the source image, float32 [H, W] in 0..1.

    Raises:
        ValueError: the result has no confidence map.
    """
    return unit_confidence(_at_source(result, _confidence(result), 0))


def unit_confidence(confidence: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Confidence 0..255 as float32 0..1, any shape."""
    return np.divide(confidence, np.float32(255), dtype=np.float32)


def rgb(image: Image, header: Header) -> Fields:
    """`sensor_msgs/Image` rgb8 of a picture uint8 [H, W, 3]."""
    return image_fields(image, "rgb8", header)


def _confidence(result: MaskResult) -> NDArray[np.uint8]:
    if result.confidence is None:
        raise ValueError("the result has no confidence map")
    return result.confidence


def _at_source(result: MaskResult, pixels: NDArray[np.uint8], outside: int) -> NDArray[np.uint8]:
    height, width = pixels.shape
    rows, columns, inside = _indices(result.transform, (height, width), result.source_size)
    enlarged = pixels.take(rows, axis=0).take(columns, axis=1)
    if inside is not None:
        enlarged[~inside] = outside
    return enlarged


@lru_cache(maxsize=16)
def _indices(
    transform: Affine, mask_shape: tuple[int, int], source_size: tuple[int, int]
) -> tuple[Index, Index, NDArray[np.bool_] | None]:
    """Nearest mask row of each source row, column of each column, and which pixels are covered.

    Raises:
        ValueError: the transform rotates or shears, or has no inverse.
    """
    a, b, c, d, e, f = transform
    if b != 0 or d != 0 or a == 0 or e == 0:
        raise ValueError(f"transform {transform} is not made of scale and shift alone")
    columns = np.floor((np.arange(source_size[0]) - c) / a + 0.5).astype(np.intp)
    rows = np.floor((np.arange(source_size[1]) - f) / e + 0.5).astype(np.intp)
    inside = ((rows >= 0) & (rows < mask_shape[0]))[:, None] & ((columns >= 0) & (columns < mask_shape[1]))
    rows, columns = rows.clip(0, mask_shape[0] - 1), columns.clip(0, mask_shape[1] - 1)
    return rows, columns, None if bool(inside.all()) else inside
