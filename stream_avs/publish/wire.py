"""`MaskResult` to message and back, in both layouts (WIRE.md). Pure: no sockets, no clock.

    MaskResult ── encode ──► WireMessage ── to_parts ──► list of frames   profile "stream"
                                         └─ to_packed ─► one frame        profile "latest"

Why two layouts: a subscriber that wants only the newest mask sets ZeroMQ's CONFLATE, which keeps
one frame and destroys messages of several. Small queues do not help: with SNDHWM = RCVHWM = 1 a 5 Hz
reader of a 100 Hz stream saw masks 3 s old, with CONFLATE 4 ms.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from stream_avs.config import Encoding
from stream_avs.errors import WireError, nearest
from stream_avs.publish import mask_codec
from stream_avs.publish.header import VERSION, Header, SoundingEntry, decode_header, encode_header
from stream_avs.publish.limits import MAX_MESSAGE_BYTES, MAX_PAYLOADS, MAX_TOPIC_BYTES
from stream_avs.types import MaskResult, Sounding

Bytes = bytes | memoryview


class Profile(enum.StrEnum):
    """What a subscriber wants."""

    LATEST = "latest"  # the newest mask; what it cannot read in time is skipped
    STREAM = "stream"  # every mask, in order; may lag


@dataclass(frozen=True, kw_only=True, slots=True)
class WireMessage:
    """One result, ready to be laid out.

    Attributes:
        header: the decoded header.
        header_bytes: the same as msgpack.
        payloads: mask first, then confidence if `header.confidence` is not "none".
    """

    header: Header
    header_bytes: Bytes
    payloads: tuple[Bytes, ...]


def profile_of(name: str) -> Profile:
    """Return the profile of that name.

    Raises:
        WireError: there is none.
    """
    try:
        return Profile(name)
    except ValueError:
        raise WireError(f"unknown profile {name!r}", nearest(name, Profile).capitalize()) from None


def topic(profile: Profile, stream: str) -> bytes:
    """Return what a subscriber asks ZeroMQ for, e.g. b"latest/cam0\\0".

    The zero byte keeps `cam1` from matching `cam10`.

    Raises:
        WireError: not a stream name: 1..64 letters, digits or _ - . /
    """
    _check_stream(stream)
    return f"{profile.value}/{stream}\0".encode()


def _check_stream(stream: str) -> None:
    if not 0 < len(stream) <= 64 or not all(c.isalnum() or c in "_-./" for c in stream):
        raise WireError(f"stream name is {stream!r}", "Expected 1..64 letters, digits or _ - . /")


def encode(
    result: MaskResult, encoding: Encoding = Encoding.PACKBITS_ZLIB, *, confidence: bool = True
) -> WireMessage:
    """Turn a result into a message; `decode` gives back an equal one.

    Args:
        result: what to send.
        encoding: how the mask is packed.
        confidence: send the confidence map too, if the result has one.

    Raises:
        WireError: a value of the result is out of range, or too varied for `encoding`.
    """
    topic(Profile.LATEST, result.stream)
    payload, class_ids = mask_codec.encode_mask(result.mask, encoding)
    payloads = [payload]
    if confidence and result.confidence is not None:
        payloads.append(mask_codec.encode_confidence(result.confidence, result.mask))
    header = _header(result, encoding, class_ids, payloads)
    return WireMessage(header=header, header_bytes=encode_header(header), payloads=tuple(payloads))


def decode(message: WireMessage) -> MaskResult:
    """Turn a message from outside into a result. See `mask_codec.decode_mask` for what it allocates.

    Raises:
        WireError: the payloads do not hold what the header says, or the stream's name is none.
    """
    header = message.header
    _check_stream(header.stream)
    mask = mask_codec.decode_mask(message.payloads[0], header.encoding, header.mask_size, header.class_ids)
    confidence = None
    if header.confidence != "none":
        confidence = mask_codec.decode_confidence(message.payloads[1], header.mask_size)
    return MaskResult(
        mask=mask,
        confidence=confidence,
        stream=header.stream,
        seq=header.seq,
        window_seq=header.window_seq,
        stamp_ns=header.t_capture_ns,
        arrival_ns=header.t_arrival_ns,
        publish_ns=header.t_publish_ns,
        unix_offset_ns=header.clock_offset_ns,
        frame_id=header.frame_id,
        source_size=header.src_size,
        transform=header.transform,
        labels=header.labels,
        sounding=tuple(
            Sounding(class_id=s.class_id, name=s.name, score=s.score, area=s.area) for s in header.sounding
        ),
        sounding_score=header.sounding_score,
        audio_level_dbfs=header.audio_level_dbfs,
        state=header.state,
        reset_reason=header.reset_reason,
        dropped=header.n_dropped_since_last,
        timeshift_cam_mic_ns=header.av_offset_ns,
        model_id=header.model_id,
        latency_ms=header.latency_ms,
    )


def to_parts(message: WireMessage) -> list[Bytes]:
    """Lay out for profile "stream": topic, header, then each payload, as frames of one message."""
    return [topic(Profile.STREAM, message.header.stream), message.header_bytes, *message.payloads]


def from_parts(parts: Sequence[Bytes]) -> WireMessage:
    """Read the frames of profile "stream"; inverse of `to_parts`.

    Raises:
        WireError: not such a message.
    """
    if not 3 <= len(parts) <= 2 + MAX_PAYLOADS:
        raise WireError(f"message has {len(parts)} frames, expected 3..{2 + MAX_PAYLOADS}")
    message = WireMessage(header=decode_header(parts[1]), header_bytes=parts[1], payloads=tuple(parts[2:]))
    return _checked(Profile.STREAM, parts[0], message)


def to_packed(message: WireMessage) -> bytes:
    """Lay out for profile "latest": topic, u32 little-endian header length, header, payloads; one frame."""
    length = struct.pack("<I", len(message.header_bytes))
    head = topic(Profile.LATEST, message.header.stream)
    return b"".join((head, length, message.header_bytes, *message.payloads))


def from_packed(data: Bytes) -> WireMessage:
    """Read the frame of profile "latest"; inverse of `to_packed`. Copies nothing but the header.

    Raises:
        WireError: not such a frame.
    """
    if len(data) > MAX_MESSAGE_BYTES:
        raise WireError(f"message has {len(data)} bytes, the limit is {MAX_MESSAGE_BYTES}")
    view = memoryview(data)
    end = bytes(view[:MAX_TOPIC_BYTES]).find(b"\0") + 1
    if not end:
        raise WireError("message has no topic that ends with a zero byte")
    if len(view) < end + 4:
        raise WireError(f"message ends after its topic, at {len(view)} bytes")
    (length,) = struct.unpack_from("<I", view, end)
    start = end + 4
    if length > len(view) - start:
        raise WireError(f"header has {length} bytes, {len(view) - start} are left")
    header_bytes, rest = view[start : start + length], view[start + length :]
    header = decode_header(header_bytes)
    payloads = []
    for n in header.payload_bytes:
        payloads.append(rest[:n])
        rest = rest[n:]
    if len(rest):
        raise WireError(f"message has {len(rest)} bytes more than its header announces")
    message = WireMessage(header=header, header_bytes=header_bytes, payloads=tuple(payloads))
    return _checked(Profile.LATEST, view[:end], message)


def _checked(profile: Profile, head: Bytes, message: WireMessage) -> WireMessage:
    """Return the message, unless topic, header and payloads contradict each other."""
    header = message.header
    if bytes(head[:MAX_TOPIC_BYTES]) != topic(profile, header.stream):
        raise WireError(
            f"topic {bytes(head[:80])!r} is not that of stream {header.stream!r}, {profile.value}"
        )
    found = tuple(map(len, message.payloads))
    if found != header.payload_bytes:
        raise WireError(f"payloads have {found} bytes, the header announces {header.payload_bytes}")
    return message


def _header(
    result: MaskResult, encoding: Encoding, class_ids: list[int], payloads: Sequence[bytes]
) -> Header:
    # float() and int() turn NumPy scalars, which msgspec does not write, into Python's.
    height, width = result.mask.shape
    a, b, c, d, e, f = map(float, result.transform)
    return Header(
        v=VERSION,
        stream=result.stream,
        seq=int(result.seq),
        window_seq=int(result.window_seq),
        t_capture_ns=int(result.stamp_ns),
        t_arrival_ns=int(result.arrival_ns),
        t_publish_ns=int(result.publish_ns),
        clock="mono",
        clock_offset_ns=int(result.unix_offset_ns),
        frame_id=result.frame_id,
        src_size=(int(result.source_size[0]), int(result.source_size[1])),
        mask_size=(width, height),
        transform=(a, b, c, d, e, f),
        encoding=encoding,
        confidence="u8+zlib" if len(payloads) > 1 else "none",
        class_ids=tuple(class_ids),
        payload_bytes=tuple(map(len, payloads)),
        labels={int(i): name for i, name in result.labels.items()},
        sounding=tuple(
            SoundingEntry(class_id=int(s.class_id), name=s.name, score=float(s.score), area=float(s.area))
            for s in result.sounding
        ),
        sounding_score=float(result.sounding_score),
        audio_level_dbfs=float(result.audio_level_dbfs),
        state=result.state,
        reset_reason=result.reset_reason,
        n_dropped_since_last=int(result.dropped),
        av_offset_ns=int(result.timeshift_cam_mic_ns),
        model_id=result.model_id,
        latency_ms={stage: float(ms) for stage, ms in result.latency_ms.items()},
    )
