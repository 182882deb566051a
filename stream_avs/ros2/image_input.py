"""Received image messages to RGB, by their encoding; any object with the fields of the type will do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_avs.errors import WireError, missing_package, nearest
from stream_avs.picture_input import PictureError, decode_picture
from stream_avs.types import Image

MAX_SIDE_PX = 16_384

Bytes = NDArray[np.uint8]

_CHANNELS = {
    "rgb8": (3, (0, 1, 2)),
    "8UC3": (3, (2, 1, 0)),
    "bgr8": (3, (2, 1, 0)),
    "rgba8": (4, (0, 1, 2)),
    "bgra8": (4, (2, 1, 0)),
    "8UC4": (4, (2, 1, 0)),
}
"""Bytes per pixel, and red, green and blue among them. 8UC3 is OpenCV's own order, blue first."""

_GREY = ("mono8", "8UC1")

_WIDE = {"mono16": 1, "16UC1": 1, "rgb16": 3, "bgr16": 3}

_OPENCV = {
    "yuv422": ("COLOR_YUV2RGB_UYVY", 2),
    "uyvy": ("COLOR_YUV2RGB_UYVY", 2),
    "yuv422_yuy2": ("COLOR_YUV2RGB_YUY2", 2),
    "yuyv": ("COLOR_YUV2RGB_YUY2", 2),
    # OpenCV names a Bayer pattern after its second row, ROS after its first.
    "bayer_rggb8": ("COLOR_BayerBG2RGB", 1),
    "bayer_bggr8": ("COLOR_BayerRG2RGB", 1),
    "bayer_gbrg8": ("COLOR_BayerGR2RGB", 1),
    "bayer_grbg8": ("COLOR_BayerGB2RGB", 1),
}
"""Conversion constant and bytes per pixel."""

_PLANAR = {"nv12": "COLOR_YUV2RGB_NV12", "nv21": "COLOR_YUV2RGB_NV21"}

ENCODINGS = tuple(sorted([*_CHANNELS, *_GREY, *_WIDE, *_OPENCV, *_PLANAR]))
"""Every encoding that is read (sensor_msgs/image_encodings.hpp)."""


def image_to_rgb(message: Any) -> Image:
    """RGB uint8 [H, W, 3] of a `sensor_msgs/Image`; rgb8 without row padding is a view, all else a copy.

    Raises:
        WireError: an encoding that is not read, or data that does not fit the size.
        MissingPackageError: the encoding needs OpenCV.
    """
    encoding, height, width = str(message.encoding), int(message.height), int(message.width)
    if not (0 < height <= MAX_SIDE_PX and 0 < width <= MAX_SIDE_PX):
        raise WireError(f"image is {width}x{height} pixels", f"Expected sides of 1..{MAX_SIDE_PX}")
    if encoding in _CHANNELS:
        channels, order = _CHANNELS[encoding]
        pixels = _rows(message, height, width * channels).reshape(height, width, channels)
        return pixels if encoding == "rgb8" else _reorder(pixels, order)
    if encoding in _GREY:
        return _rows(message, height, width)[:, :, None].repeat(3, axis=2)
    if encoding in _WIDE:
        return _from_wide(message, encoding, height, width)
    if encoding in _OPENCV:
        name, pixel_bytes = _OPENCV[encoding]
        pixels = _rows(message, height, width * pixel_bytes)
        if pixel_bytes == 2:
            pixels = pixels.reshape(height, width, 2)
        return _opencv(name, pixels)
    if encoding in _PLANAR:
        return _opencv(_PLANAR[encoding], _rows(message, height * 3 // 2, width))
    raise WireError(f"image has encoding {encoding!r}, which is not read", nearest(encoding, ENCODINGS))


def compressed_to_rgb(message: Any) -> Image:
    """RGB uint8 [H, W, 3] of a `sensor_msgs/CompressedImage`, JPEG or PNG.

    Raises:
        WireError: damaged or of a kind that cannot be read.
        MissingPackageError: OpenCV is not installed.
    """
    data = _data(message)
    try:
        return decode_picture(data.data)
    except PictureError as error:
        raise WireError(
            f"compressed image ({str(message.format)[:40]!r}, {data.size} bytes) cannot be read: {error}"
        ) from None


def _data(message: Any) -> Bytes:
    """The bytes of a message without copying: rclpy gives array.array, rosbags an ndarray."""
    return np.frombuffer(message.data, np.uint8)


def _rows(message: Any, rows: int, row_bytes: int) -> Bytes:
    """uint8 [rows, row_bytes] without the padding at the end of each row."""
    data, step = _data(message), int(message.step) or row_bytes
    if step < row_bytes:
        raise WireError(f"image has rows of {step} bytes where {row_bytes} are needed")
    needed = step * (rows - 1) + row_bytes
    if data.size < needed:
        raise WireError(f"image has {data.size} bytes where {needed} are needed")
    if step == row_bytes:
        return data[: rows * row_bytes].reshape(rows, row_bytes)
    return np.lib.stride_tricks.as_strided(data, (rows, row_bytes), (step, 1), writeable=False)


def _reorder(pixels: Bytes, order: tuple[int, int, int]) -> Image:
    """Three of the channels, in another order. One after the other: 8 times faster than all at once."""
    rgb = np.empty((*pixels.shape[:2], 3), np.uint8)
    for k, channel in enumerate(order):
        rgb[:, :, k] = pixels[:, :, channel]
    return rgb


def _from_wide(message: Any, encoding: str, height: int, width: int) -> Image:
    channels = _WIDE[encoding]
    pixels = _rows(message, height, width * channels * 2).reshape(height, width, channels, 2)
    high = pixels[:, :, :, 0 if message.is_bigendian else 1]
    order = [2, 1, 0] if encoding == "bgr16" else [0, 1, 2] if channels == 3 else [0, 0, 0]
    return np.ascontiguousarray(high[:, :, order])


def _opencv(name: str, pixels: Bytes) -> Image:
    try:
        import cv2
    except ImportError:
        raise missing_package("OpenCV (cv2)", "live") from None
    convert: Callable[..., Any] = cv2.cvtColor
    try:
        return np.asarray(convert(np.ascontiguousarray(pixels), getattr(cv2, name)), np.uint8)
    except cv2.error as error:
        raise WireError(f"image cannot be converted to RGB: {error}") from None
