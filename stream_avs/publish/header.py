"""The message header: everything about a mask but its pixels (WIRE.md, "Header").

A msgpack map with text keys, not an array: a later minor version may add keys, which readers of
this version skip; and other languages read fields by name. A key that is missing, of the wrong type
or out of range is refused. Keys cost 300 bytes beside a mask of 1 KB and more.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from stream_avs.config import Encoding
from stream_avs.errors import WireError
from stream_avs.publish.limits import MAX_HEADER_BYTES, MAX_PAYLOAD_BYTES, MAX_PAYLOADS, MAX_SIDE_PX
from stream_avs.types import ResultState

VERSION = 1

_Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Unit = Annotated[float, Meta(ge=0, le=1)]
# The bounds also refuse NaN and infinities.
_Finite = Annotated[float, Meta(ge=-1e15, le=1e15)]
_Word = Annotated[str, Meta(max_length=256)]
_SourcePx = Annotated[int, Meta(ge=1, le=1_000_000)]
_MaskPx = Annotated[int, Meta(ge=1, le=MAX_SIDE_PX)]
_ClassId = Annotated[int, Meta(ge=1, le=255)]


class SoundingEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One class that is heard and seen; see `types.Sounding`."""

    class_id: Annotated[int, Meta(ge=1, le=254)]
    name: _Word
    score: _Unit
    area: _Unit


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """Every key of a version 1 header; see WIRE.md for what each means."""

    v: Annotated[int, Meta(ge=0, le=2**31)]
    stream: Annotated[str, Meta(min_length=1, max_length=64)]
    seq: _Int64
    window_seq: _Count
    t_capture_ns: _Int64
    t_arrival_ns: _Int64
    t_publish_ns: _Int64
    clock: Literal["mono"]
    clock_offset_ns: _Int64
    frame_id: _Word
    src_size: tuple[_SourcePx, _SourcePx]
    mask_size: tuple[_MaskPx, _MaskPx]
    transform: tuple[_Finite, _Finite, _Finite, _Finite, _Finite, _Finite]
    encoding: Encoding
    confidence: Literal["none", "u8+zlib"]
    class_ids: Annotated[tuple[_ClassId, ...], Meta(max_length=255)]
    payload_bytes: Annotated[
        tuple[Annotated[int, Meta(ge=0, le=MAX_PAYLOAD_BYTES)], ...],
        Meta(min_length=1, max_length=MAX_PAYLOADS),
    ]
    labels: Annotated[dict[Annotated[int, Meta(ge=0, le=255)], _Word], Meta(max_length=256)]
    sounding: Annotated[tuple[SoundingEntry, ...], Meta(max_length=254)]
    sounding_score: _Unit
    audio_level_dbfs: _Finite
    state: ResultState
    reset_reason: _Word
    n_dropped_since_last: _Count
    av_offset_ns: _Int64
    model_id: _Word
    latency_ms: Annotated[dict[_Word, _Finite], Meta(max_length=64)]


class _Version(msgspec.Struct):
    v: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Header)
_version_decoder = msgspec.msgpack.Decoder(_Version)
# What msgspec raises for bytes that are not msgpack, not UTF-8, or nested without end.
_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def encode_header(header: Header) -> bytes:
    """Write a header as msgpack and make sure that any reader takes it.

    Raises:
        WireError: a value is out of range, not finite or too long.
    """
    try:
        data = _encoder.encode(header)
    except (UnicodeEncodeError, OverflowError, TypeError, msgspec.EncodeError) as error:
        raise WireError(f"header cannot be written: {error}") from None
    decode_header(data)
    return data


def decode_header(data: bytes | memoryview) -> Header:
    """Read and check a header from a source that is not trusted; allocates at most 16 times its length.

    Raises:
        WireError: too long, of another version, malformed, or values that contradict each other.
    """
    if len(data) > MAX_HEADER_BYTES:
        raise WireError(f"header has {len(data)} bytes, the limit is {MAX_HEADER_BYTES}")
    try:
        header = _decoder.decode(data)
    except _MALFORMED as error:
        _refuse_other_version(data)
        raise WireError(f"header is malformed: {error}") from None
    if header.v != VERSION:
        raise _other_version(header.v)
    if list(header.class_ids) != sorted(set(header.class_ids)):
        raise WireError(f"header has class_ids {list(header.class_ids)}", "Expected each once, ascending")
    if len(header.payload_bytes) < 2 and header.confidence != "none":
        raise WireError("header announces a confidence map, but one payload only")
    return header


def _refuse_other_version(data: bytes | memoryview) -> None:
    try:
        v = _version_decoder.decode(data).v
    except _MALFORMED:
        return
    if v != VERSION:
        raise _other_version(v) from None


def _other_version(v: int) -> WireError:
    older = "publisher" if v < VERSION else "subscriber"
    return WireError(
        f"message is wire version {v}, this reads version {VERSION}", f"Update stream-avs at the {older}"
    )
