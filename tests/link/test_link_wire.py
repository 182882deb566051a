"""Headers and payloads of the link: there and back, and nonsense refused before it costs anything."""

from __future__ import annotations

import dataclasses
import tracemalloc
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_avs.errors import WireError
from stream_avs.ledger import Ledger
from stream_avs.link.header import (
    VERSION,
    AudioHeader,
    EndHeader,
    FrameHeader,
    decode_header,
    encode_header,
)
from stream_avs.link.host_clock import HostClock, host_id
from stream_avs.link.payload import decode_audio, decode_frame, encode_audio, encode_frame
from stream_avs.link.settings import LinkConfig
from stream_avs.picture_input import jpeg_size
from stream_avs.types import StampSource

COMMON = {
    "v": VERSION, "session": "s", "host": "h", "sent_ns": 5, "epoch": 0, "epoch_reason": "start",
    "audio_ended": False,
}  # fmt: skip


def frame_header(width_px: int, height_px: int, encoding: str) -> FrameHeader:
    return FrameHeader(
        **COMMON, seq=1, stamp_ns=3, arrival_ns=4, stamp_source=StampSource.DRIVER, frame_id="cam",
        encoding=encoding, width_px=width_px, height_px=height_px,
    )  # type: ignore[arg-type]  # fmt: skip


def audio_header(samples: int, channels: int) -> AudioHeader:
    return AudioHeader(
        **COMMON, stamp_ns=3, stamp_source=StampSource.DRIVER, sample_rate_hz=16000, channels=channels,
        samples=samples,
    )  # type: ignore[arg-type]  # fmt: skip


@pytest.mark.parametrize(
    "header", [frame_header(4, 3, "rgb8"), audio_header(5, 2), EndHeader(**COMMON, error="unplugged")]
)  # type: ignore[arg-type]
def test_headers_come_back_as_they_were(header: FrameHeader | AudioHeader | EndHeader) -> None:
    assert decode_header(encode_header(header)) == header


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32))
def test_raw_frames_are_exact(height: int, width: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    encoding, data = encode_frame(image, 0)
    np.testing.assert_array_equal(decode_frame(frame_header(width, height, encoding), data), image)


def test_jpeg_frames_are_close_and_small() -> None:
    pytest.importorskip("cv2")
    y, x = np.mgrid[:120, :160]
    image = np.dstack([x, y, 255 - x]).astype(np.uint8)
    encoding, data = encode_frame(image, 90)
    assert encoding == "jpeg"
    assert len(data) < image.size / 10
    assert jpeg_size(data) == (160, 120)
    found = decode_frame(frame_header(160, 120, "jpeg"), data)
    assert np.abs(found.astype(int) - image).mean() < 3


def test_a_jpeg_of_another_size_is_refused_before_it_is_decoded() -> None:
    pytest.importorskip("cv2")
    _, data = encode_frame(np.zeros((4000, 4000, 3), np.uint8), 50)
    tracemalloc.start()
    with pytest.raises(WireError, match="16x16"):
        decode_frame(frame_header(16, 16, "jpeg"), data)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@given(st.integers(0, 300), st.integers(1, 4), st.integers(0, 2**32))
def test_samples_are_kept_to_16_bits(n: int, channels: int, seed: int) -> None:
    samples = np.random.default_rng(seed).uniform(-1, 1, (n, channels)).astype(np.float32)
    found = decode_audio(audio_header(n, channels), encode_audio(samples))
    np.testing.assert_allclose(found, samples, atol=0.6 / 32767)


def test_samples_that_are_not_finite_become_silence_or_full_scale() -> None:
    raw = encode_audio(np.array([[np.nan], [np.inf], [-9.0]], np.float32))
    np.testing.assert_allclose(decode_audio(audio_header(3, 1), raw), [[0], [1], [-1]])


@pytest.mark.parametrize("stamp_ns", [-(2**60), 2**60])
@pytest.mark.parametrize("sent_ns", [-(2**60), 2**60])
def test_the_most_distant_times_still_fit_64_bits_on_our_clock(stamp_ns: int, sent_ns: int) -> None:
    times = {"stamp_ns": stamp_ns, "arrival_ns": stamp_ns, "sent_ns": sent_ns}
    header = msgspec.structs.replace(frame_header(4, 3, "rgb8"), **times)
    assert decode_header(encode_header(header)) == header
    clock = HostClock("there", Ledger(), own_host="here")
    clock.observe(sent_ns, 2**60)
    assert abs(clock.to_ours_ns(stamp_ns)) < 2**63
    with pytest.raises(WireError, match="malformed"):
        decode_header(encode_header(msgspec.structs.replace(header, stamp_ns=2**60 + 1)))


@settings(max_examples=500)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_a_header(data: bytes) -> None:
    try:
        header = decode_header(data)
    except WireError:
        return
    assert header.v == VERSION


@settings(max_examples=500)
@given(
    st.sampled_from([frame_header(4, 3, "rgb8"), audio_header(5, 2)]),
    st.dictionaries(
        st.sampled_from(["v", "kind", "width_px", "encoding", "channels", "stamp_ns", "seq", "samples"]),
        st.one_of(st.integers(-(2**63), 2**64 - 1), st.text(max_size=300), st.none(), st.floats()),
        min_size=1, max_size=3,
    ),
)  # fmt: skip
def test_headers_with_other_values_are_refused_or_in_range(
    header: FrameHeader | AudioHeader, changes: dict[str, object]
) -> None:
    plain = {**msgspec.to_builtins(header), **changes}
    try:
        found = decode_header(msgspec.msgpack.encode(plain))
    except WireError:
        return
    if isinstance(found, FrameHeader):
        assert 1 <= found.width_px <= 8192
        assert found.seq >= 0


@given(st.binary(max_size=400), st.integers(1, 64), st.integers(1, 64), st.sampled_from(["jpeg", "rgb8"]))
def test_damaged_pictures_are_refused(data: bytes, width: int, height: int, encoding: str) -> None:
    if len(data) == width * height * 3:
        return
    with pytest.raises(WireError):
        decode_frame(frame_header(width, height, encoding), data)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2000), st.integers(0, 255))
def test_jpegs_with_one_wrong_byte_do_not_crash(at: int, value: int) -> None:
    pytest.importorskip("cv2")
    data = bytearray(encode_frame(np.full((32, 48, 3), 90, np.uint8), 80)[1])
    data[at % len(data)] = value
    try:
        found = decode_frame(frame_header(48, 32, "jpeg"), bytes(data))
    except WireError:
        return
    assert found.shape == (32, 48, 3)


def test_another_version_says_what_to_do() -> None:
    with pytest.raises(WireError, match="same stream-avs"):
        decode_header(msgspec.msgpack.encode({**COMMON, "v": 2, "kind": "end", "error": ""}))


def test_one_machine_has_one_clock() -> None:
    assert host_id() == host_id()
    clock = HostClock(host_id(), Ledger(), own_host=host_id())
    clock.observe(100, 900)
    assert clock.to_ours_ns(123) == 123


@given(st.lists(st.integers(200_000, 80_000_000), min_size=1, max_size=100), st.integers(-(10**15), 10**15))
def test_two_machines_differ_by_the_quickest_journey(delays_ns: list[int], offset_ns: int) -> None:
    clock = HostClock("theirs", Ledger(), own_host="ours")
    for k, delay_ns in enumerate(delays_ns):
        sent_ns = k * 20_000_000
        clock.observe(sent_ns, sent_ns + offset_ns + delay_ns)
    assert clock.to_ours_ns(0) == offset_ns + min(delays_ns)


def test_settings_are_plain() -> None:
    assert dataclasses.asdict(LinkConfig())["address"] == "tcp://127.0.0.1:5560"
    assert Path(LinkConfig().key) == Path()
