"""JPEG and PNG are read, to the pixel; what else there is, or too much of it, is refused unread."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")

from stream_avs.picture_input import MAX_PIXELS, PictureError, decode_picture, picture_size  # noqa: E402

RGB = np.random.default_rng(0).integers(0, 256, (24, 32, 3)).astype(np.uint8)


def packed(image: np.ndarray, suffix: str = ".png") -> bytes:
    return bytes(cv2.imencode(suffix, image)[1])


def png_head(width_px: int, height_px: int) -> bytes:
    head = struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))


def test_colours_come_in_the_order_red_green_blue() -> None:
    np.testing.assert_array_equal(decode_picture(packed(RGB[..., ::-1])), RGB)
    assert np.abs(decode_picture(packed(np.full_like(RGB, (0, 0, 250)), ".jpg")) - (250, 0, 0)).max() < 8


def test_a_picture_can_be_had_as_stored() -> None:
    deep = RGB.astype(np.uint16) * 257
    np.testing.assert_array_equal(decode_picture(packed(deep[..., ::-1]), as_stored=True), deep)
    rgba = np.dstack([RGB, RGB[..., 0]])
    bgra = rgba[..., [2, 1, 0, 3]]
    np.testing.assert_array_equal(decode_picture(packed(bgra), as_stored=True), rgba)
    np.testing.assert_array_equal(decode_picture(packed(RGB[..., 0]), grey=True), RGB[..., 0])


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_the_size_is_in_the_head(suffix: str) -> None:
    data = packed(RGB, suffix)
    assert picture_size(data) == (32, 24)
    assert picture_size(data[:18]) is None


@pytest.mark.parametrize("suffix", [".webp", ".tiff", ".bmp"])
def test_other_formats_are_refused(suffix: str) -> None:
    with pytest.raises(PictureError, match="neither a JPEG nor a PNG"):
        decode_picture(packed(RGB, suffix))


@pytest.mark.parametrize(
    "size", [(65_000, 65_000), (4000, 4000), (MAX_PIXELS + 1, 1), (2**31 - 1, 2**31 - 1), (0, 5)]
)
def test_a_size_that_nothing_stands_behind_is_refused_unread(size: tuple[int, int]) -> None:
    data = png_head(*size) + packed(RGB)[33:]
    tracemalloc.start()
    with pytest.raises(PictureError, match="pixels"):
        decode_picture(data)
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()


def test_a_chunk_that_reaches_past_the_end_is_refused_unread() -> None:
    data = packed(RGB)
    at = data.index(b"IDAT") - 4
    tracemalloc.start()
    with pytest.raises(PictureError, match="IDAT' is cut short"):
        decode_picture(data[:at] + b"\xff\xff\xff\xf0" + data[at + 4 :])
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()


def test_a_jpeg_of_very_many_scans_is_refused() -> None:
    data = bytes(cv2.imencode(".jpg", RGB, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1])
    assert decode_picture(data).shape == RGB.shape
    scan = data[data.rindex(b"\xff\xda") : -2]
    with pytest.raises(PictureError, match="scans"):
        decode_picture(data[:-2] + 40 * scan + data[-2:])


def test_a_black_picture_of_a_large_camera_is_read() -> None:
    for suffix in (".png", ".jpg"):
        assert decode_picture(packed(np.zeros((2160, 3840, 3), np.uint8), suffix)).shape == (2160, 3840, 3)


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xff\xff", packed(RGB)[:60], packed(RGB, ".jpg")[:40]]
)
def test_a_damaged_picture_is_refused(data: bytes) -> None:
    with pytest.raises(PictureError):
        decode_picture(data)
