"""The publisher's messages: header, both layouts, every packing of masks."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
from fuzzing import KIB, MIB, Target

from stream_avs.config import Encoding
from stream_avs.publish import mask_codec, wire
from stream_avs.publish.header import decode_header
from stream_avs.publish.inflate import inflate
from stream_avs.publish.png import SIGNATURE
from stream_avs.types import MaskResult, ResultState, Sounding

HEAD_BYTES = 3
"""Of a mask seed: width - 1, height - 1, and how many class ids."""


def result(mask: np.ndarray | None = None) -> MaskResult:
    """A plausible result."""
    if mask is None:
        mask = np.zeros((6, 8), np.uint8)
        mask[2:5, 1:4] = 1
        mask[1:3, 5:7] = 7
    return MaskResult(
        mask=mask, confidence=(mask > 0).astype(np.uint8) * 200, stream="cam0", seq=41, window_seq=17,
        stamp_ns=5_000_000_000, arrival_ns=5_004_000_000, publish_ns=5_061_000_000, unix_offset_ns=2**60,
        frame_id="camera", source_size=(640, 480), transform=(80.0, 0.0, 39.5, 0.0, 80.0, 39.5),
        labels={1: "person", 7: "guitar"},
        sounding=(Sounding(class_id=7, name="guitar", score=0.75, area=0.1),),
        sounding_score=0.875, audio_level_dbfs=-23.5, state=ResultState.OK, dropped=2,
        timeshift_cam_mic_ns=-12_000_000, model_id="nano-1f2e3d4c", latency_ms={"wait": 12.5, "step": 41.25},
    )  # fmt: skip


def _headers() -> list[bytes]:
    return [bytes(wire.encode(result(), encoding).header_bytes) for encoding in Encoding]


def _packed() -> list[bytes]:
    return [wire.to_packed(wire.encode(result(), encoding)) for encoding in Encoding]


def _parts() -> list[bytes]:
    return [_join(wire.to_parts(wire.encode(result(), encoding))) for encoding in Encoding]


def _join(parts: list[wire.Bytes]) -> bytes:
    return b"".join(len(part).to_bytes(2, "little") + bytes(part) for part in parts)


def _split(data: bytes) -> list[bytes]:
    parts = []
    while data and len(parts) < 16:
        length = int.from_bytes(data[:2], "little")
        parts.append(data[2 : 2 + length])
        data = data[2 + length :]
    return parts


def _decode_parts(data: bytes) -> object:
    return wire.decode(wire.from_parts(_split(data)))


def _decode_packed(data: bytes) -> object:
    return wire.decode(wire.from_packed(data))


def _mask_decoder(
    encoding: Encoding, repair: Callable[[bytes], bytes] | None = None
) -> Callable[[bytes], object]:
    """Decode what follows the head; with `repair`, an odd third byte lets checksums be made right first."""

    def decode(data: bytes) -> object:
        head, payload = data[:HEAD_BYTES].ljust(HEAD_BYTES, b"\0"), data[HEAD_BYTES:]
        if repair is not None and head[2] & 1:
            payload = repair(payload)
        ids = tuple(range(1, 1 + (head[2] >> 1)))
        return mask_codec.decode_mask(payload, encoding, (head[0] % 64 + 1, head[1] % 64 + 1), ids)

    return decode


def _mask_seeds(encoding: Encoding) -> Callable[[], list[bytes]]:
    def seeds() -> list[bytes]:
        small = np.arange(30, dtype=np.uint8).reshape(5, 6) // 10
        payload, ids = mask_codec.encode_mask(small, encoding)
        raw = bytes([5, 4, 2 * len(ids)]) + payload
        return [raw, bytes([5, 4, 2 * len(ids) + 1]) + _unrepaired(encoding, payload, small), raw[:-1], b""]

    return seeds


def _unrepaired(encoding: Encoding, payload: bytes, mask: np.ndarray) -> bytes:
    """What `repair` turns into a payload that is read."""
    if encoding is Encoding.PACKBITS_ZLIB:
        return zlib.decompress(payload)
    rows = np.pad(mask, ((0, 0), (1, 0))).tobytes()
    return payload[16:29] + b"IDAT" + len(rows).to_bytes(2, "big") + rows + b"IEND\0\0"


def repair_png(data: bytes) -> bytes:
    """A PNG file with right lengths, checksums and streams: IHDR of 13 bytes, then name, length, content."""
    out, rest = [SIGNATURE, _chunk(b"IHDR", data[:13])], data[13:]
    while len(rest) >= 6 and len(out) < 10:
        name, length = rest[:4], int.from_bytes(rest[4:6], "big")
        content = rest[6 : 6 + length]
        out.append(_chunk(name, zlib.compress(content, 1) if name == b"IDAT" else content))
        rest = rest[6 + length :]
    return b"".join(out)


def _chunk(name: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + name + content + zlib.crc32(name + content).to_bytes(4, "big")


def _inflate(data: bytes) -> object:
    return inflate(data[1:], data[0] if data else 0, "payload")


def _confidence(data: bytes) -> object:
    head = data[:2].ljust(2, b"\0")
    payload = data[3:] if len(data) < 3 or not data[2] else zlib.compress(data[3:], 1)
    return mask_codec.decode_confidence(payload, (head[0] % 64 + 1, head[1] % 64 + 1))


def _confidence_seeds() -> list[bytes]:
    raw = bytes(range(30))
    return [b"\5\4\1" + raw, b"\5\4\0" + zlib.compress(raw), b"\5\4\0" + zlib.compress(bytes(4096))]


TARGETS = (
    Target(name="wire-header", decode=decode_header, seeds=_headers, form="msgpack"),
    Target(name="wire-packed", decode=_decode_packed, seeds=_packed, multiple=64, constant_bytes=80 * MIB),
    Target(name="wire-parts", decode=_decode_parts, seeds=_parts, multiple=64, constant_bytes=80 * MIB),
    *(
        Target(
            name=f"mask-{encoding.value.split('+')[0]}", decode=_mask_decoder(encoding, repair),
            seeds=_mask_seeds(encoding), max_bytes=KIB,
        )
        for encoding, repair in (
            (Encoding.RLE, None), (Encoding.MONO8, None),
            (Encoding.PACKBITS_ZLIB, lambda raw: zlib.compress(raw, 1)), (Encoding.PNG, repair_png),
        )
    ),
    Target(name="confidence", decode=_confidence, seeds=_confidence_seeds, max_bytes=KIB),
    Target(
        name="inflate", decode=_inflate, max_bytes=KIB,
        seeds=lambda: [b"\x1e" + zlib.compress(bytes(30)), b"\x1e" + zlib.compress(bytes(1 << 16)), b"\0"],
    ),
)  # fmt: skip
"""Decoders of masks hold at most 4 x width x height more, see `mask_codec.decode_mask`."""
