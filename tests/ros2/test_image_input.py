"""Received images: every encoding to the right colours, padding skipped, nonsense refused."""

from __future__ import annotations

import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_messages import message

from stream_avs.errors import StreamAvsError, WireError
from stream_avs.ros2.image_input import ENCODINGS, compressed_to_rgb, image_to_rgb

cv2 = pytest.importorskip("cv2")

RNG = np.random.default_rng(3)
RGB = np.repeat(np.repeat(RNG.integers(0, 256, (4, 6, 3), dtype=np.uint8), 8, 0), 8, 1)
HEIGHT, WIDTH = RGB.shape[:2]


def image(encoding: str, rows: np.ndarray, *, pad: int = 0, **changes: object) -> object:
    """An image message whose rows end in `pad` bytes of something else."""
    flat = np.ascontiguousarray(rows).view(np.uint8).reshape(rows.shape[0], -1)
    padded = np.pad(flat, ((0, 0), (0, pad)), constant_values=99)
    values = {
        "encoding": encoding, "height": HEIGHT, "width": WIDTH, "step": padded.shape[1],
        "is_bigendian": 0, "data": array.array("B", padded.tobytes()),
    }  # fmt: skip
    return message(**{**values, **changes})


@pytest.mark.parametrize("pad", [0, 7])
@pytest.mark.parametrize(
    ("encoding", "convert"),
    [
        ("rgb8", None),
        ("bgr8", cv2.COLOR_RGB2BGR),
        ("8UC3", cv2.COLOR_RGB2BGR),
        ("rgba8", cv2.COLOR_RGB2RGBA),
        ("bgra8", cv2.COLOR_RGB2BGRA),
    ],
)
def test_colour_encodings_are_exact(encoding: str, convert: int | None, pad: int) -> None:
    sent = RGB if convert is None else cv2.cvtColor(RGB, convert)
    np.testing.assert_array_equal(image_to_rgb(image(encoding, sent, pad=pad)), RGB)


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_grey_becomes_three_equal_channels(encoding: str) -> None:
    grey = np.ascontiguousarray(RGB[:, :, 0])
    np.testing.assert_array_equal(image_to_rgb(image(encoding, grey)), np.dstack([grey] * 3))


@pytest.mark.parametrize("bigendian", [0, 1])
@pytest.mark.parametrize(("encoding", "order"), [("rgb16", [0, 1, 2]), ("bgr16", [2, 1, 0])])
def test_sixteen_bits_keep_their_upper_byte(encoding: str, order: list[int], bigendian: int) -> None:
    wide = (RGB[:, :, order].astype(np.uint16) << 8 | 0x55).astype(">u2" if bigendian else "<u2")
    np.testing.assert_array_equal(image_to_rgb(image(encoding, wide, is_bigendian=bigendian)), RGB)


def test_packed_yuv_is_close() -> None:
    yuv = cv2.cvtColor(RGB, cv2.COLOR_RGB2YUV)
    # Full to studio range is what the packed formats carry; a grey picture tells them apart least.
    grey = np.full((HEIGHT, WIDTH, 2), 128, np.uint8)
    grey[:, :, 0] = 16 + yuv[:, :, 0].astype(int) * 219 // 255
    expected = yuv[:, :, 0].astype(int)
    found = image_to_rgb(image("yuv422_yuy2", grey))
    assert np.abs(found.astype(int) - expected[:, :, None]).max() <= 4
    np.testing.assert_array_equal(image_to_rgb(image("yuv422", grey[:, :, ::-1])), found)


@pytest.mark.parametrize(
    ("encoding", "pattern"),
    [("bayer_rggb8", "RGGB"), ("bayer_bggr8", "BGGR"), ("bayer_gbrg8", "GBRG"), ("bayer_grbg8", "GRBG")],
)
def test_bayer_patterns_keep_red_red(encoding: str, pattern: str) -> None:
    colour = dict(zip("RGB", (200, 120, 30), strict=True))
    tile = np.array([colour[c] for c in pattern], np.uint8).reshape(2, 2)
    mosaic = np.tile(tile, (HEIGHT // 2, WIDTH // 2))
    found = image_to_rgb(image(encoding, mosaic))[4:-4, 4:-4]
    assert np.abs(found.astype(int) - [200, 120, 30]).max() <= 1


def test_jpeg_and_png_are_read() -> None:
    for suffix, tolerance in ((".png", 0), (".jpg", 24)):
        _, data = cv2.imencode(suffix, cv2.cvtColor(RGB, cv2.COLOR_RGB2BGR))
        found = compressed_to_rgb(message(format=suffix, data=array.array("B", data.tobytes())))
        assert np.abs(found.astype(int) - RGB).mean() <= tolerance


def test_an_unknown_encoding_names_the_nearest() -> None:
    with pytest.raises(WireError, match="rgb8"):
        image_to_rgb(image("rbg8", RGB))


@settings(max_examples=300)
@given(
    st.sampled_from([*ENCODINGS, "", "jpeg"]),
    st.integers(0, 70_000),
    st.integers(0, 70_000),
    st.integers(0, 100),
    st.binary(max_size=4000),
)
def test_nonsense_is_refused_or_gives_that_size(
    encoding: str, height: int, width: int, step: int, data: bytes
) -> None:
    sent = message(
        encoding=encoding, height=height, width=width, step=step, is_bigendian=0, data=array.array("B", data)
    )
    try:
        found = image_to_rgb(sent)
    except StreamAvsError:
        return
    assert found.shape == (height, width, 3)
    assert found.dtype == np.uint8


@given(st.binary(max_size=400))
def test_damaged_files_are_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        compressed_to_rgb(message(format="jpeg", data=array.array("B", data)))
