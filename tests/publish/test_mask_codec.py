import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_results import masks

from stream_avs.config import Encoding
from stream_avs.errors import WireError
from stream_avs.publish import mask_codec
from stream_avs.publish.limits import MAX_PAYLOAD_BYTES
from stream_avs.publish.mask_codec import decode_confidence, decode_mask, encode_confidence, encode_mask
from stream_avs.publish.png import encode_png

every_encoding = pytest.mark.parametrize("encoding", list(Encoding))


def size_of(mask):
    return mask.shape[1], mask.shape[0]


@every_encoding
@given(mask=masks)
def test_round_trip(encoding, mask):
    payload, ids = encode_mask(mask, encoding)
    back = decode_mask(payload, encoding, size_of(mask), ids)
    assert back.dtype == np.uint8
    assert back.flags.c_contiguous
    assert back.flags.writeable
    assert np.array_equal(back, mask)


@every_encoding
@pytest.mark.parametrize(
    "mask",
    [
        np.zeros((1, 1), np.uint8),
        np.full((4096, 1), 255, np.uint8),
        np.full((1, 4096), 1, np.uint8),
        np.arange(256, dtype=np.uint8).reshape(16, 16),
        np.zeros((384, 384), np.uint8),
        np.asfortranarray(np.arange(12, dtype=np.uint8).reshape(3, 4)),
        np.arange(48, dtype=np.uint8).reshape(6, 8)[::2, 1::3],
    ],
    ids=["pixel", "column", "row", "all ids", "silence", "column-major", "strided"],
)
def test_round_trip_of_corner_cases(encoding, mask):
    payload, ids = encode_mask(mask, encoding)
    assert ids == sorted(set(mask.ravel().tolist()) - {0})
    assert np.array_equal(decode_mask(payload, encoding, size_of(mask), ids), mask)


@given(mask=masks)
def test_confidence_round_trip(mask):
    assert np.array_equal(decode_confidence(encode_confidence(mask, mask), size_of(mask)), mask)


@every_encoding
@given(data=st.binary(max_size=200), ids=st.sets(st.integers(1, 255), max_size=5))
def test_any_bytes_are_a_mask_or_refused(encoding, data, ids):
    ids = sorted(ids)
    try:
        mask = decode_mask(data, encoding, (7, 5), ids)
    except WireError:
        return
    assert mask.shape == (5, 7)
    assert set(mask.ravel().tolist()) <= {0, *ids}


@every_encoding
@given(mask=masks, where=st.integers(0, 10**6), bits=st.integers(1, 255))
def test_one_changed_byte_is_a_mask_or_refused(encoding, mask, where, bits):
    payload, ids = encode_mask(mask, encoding)
    data = bytearray(payload)
    if data:
        data[where % len(data)] ^= bits
    try:
        back = decode_mask(bytes(data), encoding, size_of(mask), ids)
    except WireError:
        return
    assert back.shape == mask.shape
    assert set(back.ravel().tolist()) <= {0, *ids}


@every_encoding
@given(mask=masks, cut=st.integers(1, 50))
def test_cut_short_is_refused(encoding, mask, cut):
    payload, ids = encode_mask(mask, encoding)
    with pytest.raises(WireError):
        decode_mask(payload[:-cut], encoding, size_of(mask), ids)


@every_encoding
def test_bytes_behind_the_payload_are_refused(encoding):
    mask = np.eye(9, dtype=np.uint8)
    payload, ids = encode_mask(mask, encoding)
    with pytest.raises(WireError):
        decode_mask(payload + b"\0\0\0\0\0", encoding, (9, 9), ids)


@every_encoding
@pytest.mark.parametrize("size", [(8, 9), (9, 8), (1, 1), (4096, 4096)])
def test_another_size_than_announced_is_refused(encoding, size):
    payload, ids = encode_mask(np.eye(9, dtype=np.uint8), encoding)
    with pytest.raises(WireError):
        decode_mask(payload, encoding, size, ids)


@pytest.mark.parametrize("encoding", [Encoding.RLE, Encoding.MONO8, Encoding.PNG])
def test_an_undeclared_class_is_refused(encoding):
    payload, _ = encode_mask(np.full((3, 3), 9, np.uint8), encoding)
    with pytest.raises(WireError, match="class id 9"):
        decode_mask(payload, encoding, (3, 3), [1, 2])


def test_a_pixel_in_two_planes_is_refused():
    payload = zlib.compress(b"\xff\x80" + b"\x01\x00")  # 3x3: all of class 1, one of class 3 too
    with pytest.raises(WireError, match="several"):
        decode_mask(payload, Encoding.PACKBITS_ZLIB, (3, 3), [1, 3])


@pytest.mark.parametrize("runs", [[9, 0], [0, 9], [10], [8], [2**32 - 1, 10]])
def test_runs_that_do_not_add_up_are_refused(runs):
    payload = np.array(runs, "<u4").tobytes() + bytes(len(runs))
    with pytest.raises(WireError):
        decode_mask(payload, Encoding.RLE, (3, 3), [])


@pytest.mark.parametrize(
    "decode",
    [
        lambda bomb: decode_mask(bomb, Encoding.PACKBITS_ZLIB, (64, 64), [1]),
        lambda bomb: decode_confidence(bomb, (64, 64)),
        lambda bomb: decode_mask(_png_with(bomb), Encoding.PNG, (64, 64), [1]),
    ],
    ids=["planes", "confidence", "png"],
)
def test_a_decompression_bomb_does_not_fill_the_memory(decode):
    bomb = zlib.compress(bytes(200_000_000), 9)
    tracemalloc.start()
    try:
        with pytest.raises(WireError, match="more than"):
            decode(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000 + 3 * len(bomb)


@every_encoding
def test_memory_for_the_largest_mask_is_bounded(encoding):
    mask = np.zeros((4096, 4096), np.uint8)
    mask[:2000, :1500] = 3
    payload, ids = encode_mask(mask, encoding)
    tracemalloc.start()
    try:
        decode_mask(payload, encoding, (4096, 4096), ids)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= 4.1 * mask.size + 2 * len(payload)


@pytest.mark.parametrize(
    "mask",
    [
        np.zeros((0, 4), np.uint8),
        np.zeros((4097, 1), np.uint8),
        np.zeros((4, 4), np.int32),
        np.zeros((4, 4, 1), np.uint8),
    ],
)
def test_what_is_no_mask_is_not_encoded(mask):
    with pytest.raises(WireError, match="mask is"):
        encode_mask(mask, Encoding.MONO8)


def test_confidence_of_another_shape_is_not_encoded():
    with pytest.raises(WireError, match="confidence is"):
        encode_confidence(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))


def test_more_planes_than_the_limit_are_refused_at_both_ends():
    mask = np.arange(4096 * 4096, dtype=np.uint8).reshape(4096, 4096)
    with pytest.raises(WireError, match="planes"):
        encode_mask(mask, Encoding.PACKBITS_ZLIB)
    with pytest.raises(WireError, match="planes"):
        decode_mask(b"", Encoding.PACKBITS_ZLIB, (4096, 4096), list(range(1, 256)))


def test_a_mask_too_varied_for_runs_is_refused_with_a_next_step():
    noise = np.arange(4096 * 4096, dtype=np.uint8).reshape(4096, 4096)
    with pytest.raises(WireError, match="mono8") as caught:
        encode_mask(noise, Encoding.RLE)
    assert str(MAX_PAYLOAD_BYTES) in str(caught.value)


def test_png_payload_is_a_png_to_others():
    cv2 = pytest.importorskip("cv2")
    mask = np.random.default_rng(0).integers(0, 256, (31, 45), dtype=np.uint8)
    payload, _ = encode_mask(mask, Encoding.PNG)
    assert np.array_equal(cv2.imdecode(np.frombuffer(payload, np.uint8), cv2.IMREAD_UNCHANGED), mask)


def test_png_with_row_filters_or_other_chunks_is_refused():
    mask = np.zeros((2, 2), np.uint8)
    with pytest.raises(WireError, match="filter"):
        decode_mask(_png_with(zlib.compress(b"\x01\0\0\0\0\0"), (2, 2)), Encoding.PNG, (2, 2), [])
    with pytest.raises(WireError, match="8-bit grey"):
        decode_mask(encode_png(mask, np.zeros((256, 3), np.uint8)), Encoding.PNG, (2, 2), [])


def test_present_ids_finds_many_and_few():
    many = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert mask_codec.present_ids(many) == list(range(1, 256))
    assert mask_codec.present_ids(np.array([[9, 0, 3]], np.uint8)) == [3, 9]


def _png_with(zlib_stream, size=(64, 64)):
    """A PNG file whose image data is `zlib_stream`."""
    import struct

    def chunk(name, content):
        crc = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + crc

    head = struct.pack(">IIBBBBB", *size, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib_stream), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
