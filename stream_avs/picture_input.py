"""JPEG and PNG files of unknown origin to pixels: size and kind are read before anything is decoded.

OpenCV takes a dozen formats and allocates what a file's header asks for, gigabytes for a few bytes. A
kilobyte of progressive JPEG can keep it busy for ten seconds, drawing 64 million pixels scan by scan,
and a PNG of 8x6 pixels too, making room for a chunk that says it has 4 GB. So sizes must be backed by bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_avs.errors import missing_package

MAX_PIXELS = 64 * 1024 * 1024
"""More than cameras have; 192 MiB as RGB."""
FREE_PIXELS = 1024 * 1024
"""So many pixels need no bytes behind them."""
JPEG_PIXELS_PER_BYTE = 128
"""A black picture has 64."""
PNG_PIXELS_PER_BYTE = 1032
"""Zlib packs no tighter, with a byte per pixel."""
MAX_SCANS = 32
"""Of a progressive JPEG file; usual are 10."""

Bytes = bytes | memoryview

_SCAN = b"\xff\xda"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG = _SIGNATURE + b"\0\0\0\rIHDR"
_FILM = frozenset({b"acTL", b"fcTL", b"fdAT"})
_SIZE_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xD8)})


class PictureError(ValueError):
    """Damaged, too large, or neither JPEG nor PNG."""


def decode_picture(data: Bytes, *, grey: bool = False, as_stored: bool = False) -> NDArray[Any]:
    """Decode a JPEG or PNG file, not turned by its orientation tag.

    Allocates at most 12 bytes per pixel; of pixels there are at most `FREE_PIXELS`, and 128 (JPEG) or
    1032 (PNG) for each byte of `data`, and `MAX_PIXELS`.

    Args:
        data: the file.
        grey: uint8 [H, W] instead of RGB.
        as_stored: channels and depth as in the file, colours in RGB order; [H, W] or [H, W, C].

    Returns:
        uint8 [H, W, 3] RGB unless told otherwise.

    Raises:
        PictureError: see there.
        MissingPackageError: OpenCV is not installed.
    """
    width_px, height_px = _checked_size(data)
    cv2 = _opencv()
    flags = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR
    flags = cv2.IMREAD_UNCHANGED if as_stored else flags | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise PictureError(f"it cannot be decoded: {error}") from None
    if pixels is None or pixels.shape[:2] != (height_px, width_px):
        raise PictureError("it is damaged")
    to_rgb = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}
    if pixels.ndim == 3 and pixels.shape[2] in to_rgb:
        pixels = cv2.cvtColor(pixels, to_rgb[pixels.shape[2]], dst=pixels)
    return np.asarray(pixels)


def picture_size(data: Bytes) -> tuple[int, int] | None:
    """(width, height) in the header of a JPEG or PNG file, None if it has none."""
    if bytes(data[:16]) == _PNG and len(data) >= 24:
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    return jpeg_size(data)


def _checked_size(data: Bytes) -> tuple[int, int]:
    size = picture_size(data)
    if size is None:
        raise PictureError("it is neither a JPEG nor a PNG file")
    is_png = bytes(data[:1]) == _PNG[:1]
    backed = len(data) * (PNG_PIXELS_PER_BYTE if is_png else JPEG_PIXELS_PER_BYTE)
    most = min(MAX_PIXELS, FREE_PIXELS + backed)
    if not 0 < size[0] * size[1] <= most:
        raise PictureError(
            f"its {len(data)} bytes claim {size[0]}x{size[1]} pixels, the limit is {most} in all"
        )
    if is_png:
        _check_chunks(memoryview(data))
    elif bytes(data).count(_SCAN) > MAX_SCANS:
        raise PictureError(f"it has more than {MAX_SCANS} scans")
    return size


def _check_chunks(data: memoryview) -> None:
    """Refuse a PNG file whose chunks reach past its end, or that is a film."""
    at = len(_SIGNATURE)
    while at + 12 <= len(data):
        length, name = int.from_bytes(data[at : at + 4], "big"), bytes(data[at + 4 : at + 8])
        if length > len(data) - at - 12:
            raise PictureError(f"its chunk {name!r} is cut short")
        if name in _FILM:
            raise PictureError("it is a film")
        if name == b"IEND":
            return
        at += 12 + length
    raise PictureError("it has no end")


def jpeg_size(data: Bytes) -> tuple[int, int] | None:
    """(width, height) from the frame header of a JPEG file (ITU-T T.81, B.2.2), None if there is none."""
    if bytes(data[:2]) != b"\xff\xd8":
        return None
    at, end = 2, len(data)
    while at + 4 <= end and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF or marker in _BARE_MARKERS:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _SIZE_MARKERS:
            if at + 9 > end:
                return None
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _opencv() -> Any:
    try:
        import cv2
    except ImportError:
        raise missing_package("OpenCV (cv2), which reads pictures,", "live") from None
    return cv2
