"""Pictures and samples to bytes and back. Sizes are checked before anything is decoded."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from stream_avs.errors import WireError, missing_package
from stream_avs.link.header import MAX_FRAME_BYTES, AudioHeader, FrameHeader
from stream_avs.picture_input import PictureError, decode_picture, jpeg_size
from stream_avs.types import Image, Samples

Bytes = bytes | memoryview


def encode_frame(image: Image, jpeg_quality: int) -> tuple[Literal["jpeg", "rgb8"], Bytes]:
    """Encode uint8 [H, W, 3] RGB; returns "jpeg" or, for quality 0, "rgb8", and the bytes.

    Raises:
        MissingPackageError: JPEG is asked for and OpenCV is not installed.
    """
    if jpeg_quality == 0:
        return "rgb8", image.tobytes()
    cv2 = _opencv()
    ok, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality]
    )
    if not ok:
        raise WireError(f"image of {image.shape} cannot be encoded as JPEG")
    return "jpeg", data.tobytes()


def decode_frame(header: FrameHeader, data: Bytes) -> Image:
    """Decode the picture of a frame message, uint8 [H, W, 3] RGB; see `decode_picture` for what it allocates.

    Raises:
        WireError: the bytes do not hold a picture of that size.
        MissingPackageError: OpenCV is not installed.
    """
    height, width = header.height_px, header.width_px
    if len(data) > MAX_FRAME_BYTES:
        raise WireError(f"frame has {len(data)} bytes, the limit is {MAX_FRAME_BYTES}")
    if header.encoding == "rgb8":
        if len(data) != height * width * 3:
            raise WireError(f"rgb8 frame of {width}x{height} has {len(data)} bytes")
        return np.frombuffer(data, np.uint8).reshape(height, width, 3)
    if jpeg_size(data) != (width, height):
        raise WireError(f"frame is not a JPEG file of {width}x{height} pixels")
    try:
        return decode_picture(data)
    except PictureError as error:
        raise WireError(f"frame of {len(data)} bytes is no picture: {error}") from None


def encode_audio(samples: Samples) -> bytes:
    """Encode float32 [n, channels] as interleaved int16; beyond [-1, 1] it clips, NaN is silence."""
    finite = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
    return np.rint(np.clip(finite, -1, 1) * 32767).astype("<i2").tobytes()


def decode_audio(header: AudioHeader, data: Bytes) -> Samples:
    """Decode the samples of an audio message, float32 [n, channels]; allocates at most 5 times `data`.

    Raises:
        WireError: the bytes do not hold that many samples.
    """
    if len(data) != header.samples * header.channels * 2:
        raise WireError(f"audio of {header.samples} x {header.channels} samples has {len(data)} bytes")
    values = np.frombuffer(data, "<i2").reshape(-1, header.channels)
    return (values / np.float32(32767)).astype(np.float32)


def _opencv() -> Any:
    try:
        import cv2
    except ImportError:
        raise missing_package("OpenCV (cv2)", "live") from None
    return cv2
