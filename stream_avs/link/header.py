"""Headers of the link's messages: msgpack maps, typed and bounded. Version 1.

topic "frame/NAME\\0" | header | JPEG file or RGB rows
topic "audio/NAME\\0" | header | interleaved little-endian int16
topic "frame/NAME\\0" | header | (empty)                          the end of the stream
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from stream_avs.errors import WireError
from stream_avs.types import StampSource

VERSION = 1
MAX_HEADER_BYTES = 4096
MAX_SIDE_PX = 8192
MAX_FRAME_BYTES = 64 * 1024 * 1024
MAX_SAMPLES = 1 << 20

# Of two such times and one of ours, sums and differences still fit 64 bits: `HostClock` forms them.
_Ns = Annotated[int, Meta(ge=-(2**60), le=2**60)]
_Count = Annotated[int, Meta(ge=0, le=2**62)]
_Word = Annotated[str, Meta(max_length=256)]
_Side = Annotated[int, Meta(ge=1, le=MAX_SIDE_PX)]
_Id = Annotated[str, Meta(min_length=1, max_length=64)]


class Common(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """What every message says.

    Attributes:
        v: `VERSION`.
        session: random name of this run of the sender.
        host: names the boot of the sending machine: equal hosts share one monotonic clock.
        sent_ns: when it left, monotonic clock of the sender.
        epoch: counts discontinuities; what has a new epoch does not continue what came before.
        epoch_reason: why the latest epoch began.
        audio_ended: no more sound will come.
    """

    v: Annotated[int, Meta(ge=0, le=2**31)]
    session: _Id
    host: _Id
    sent_ns: _Ns
    epoch: _Count
    epoch_reason: _Word
    audio_ended: bool


class FrameHeader(Common, frozen=True, kw_only=True, tag="frame"):
    """One image; `seq` counts frames sent, without holes."""

    seq: _Count
    stamp_ns: _Ns
    arrival_ns: _Ns
    stamp_source: StampSource
    frame_id: _Word
    encoding: Literal["jpeg", "rgb8"]
    width_px: _Side
    height_px: _Side


class AudioHeader(Common, frozen=True, kw_only=True, tag="audio"):
    """Consecutive samples; `stamp_ns` is that of the first."""

    stamp_ns: _Ns
    stamp_source: StampSource
    sample_rate_hz: Annotated[int, Meta(ge=1000, le=400_000)]
    channels: Annotated[int, Meta(ge=1, le=64)]
    samples: Annotated[int, Meta(ge=0, le=MAX_SAMPLES)]


class EndHeader(Common, frozen=True, kw_only=True, tag="end"):
    """The source has ended; `error` says why if that was not intended."""

    error: Annotated[str, Meta(max_length=1000)]


Header = FrameHeader | AudioHeader | EndHeader


class _Version(msgspec.Struct):
    v: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Header)
_version_decoder = msgspec.msgpack.Decoder(_Version)
_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def encode_header(header: Header) -> bytes:
    """Write a header as msgpack."""
    return _encoder.encode(header)


def decode_header(data: bytes | memoryview) -> Header:
    """Read and check a header from outside; allocates at most 16 times its length.

    Raises:
        WireError: too long, of another version, or malformed.
    """
    if len(data) > MAX_HEADER_BYTES:
        raise WireError(f"header has {len(data)} bytes, the limit is {MAX_HEADER_BYTES}")
    try:
        version = _version_decoder.decode(data).v
        if version != VERSION:
            raise WireError(
                f"message is link version {version}, this reads version {VERSION}",
                "Install the same stream-avs on both machines",
            )
        header: Header = _decoder.decode(data)
    except _MALFORMED as error:
        raise WireError(f"header is malformed: {error}") from None
    return header
