"""Messages built to take far more memory than they have bytes: sizes that lie, nesting, packed zeros."""

from __future__ import annotations

import json
import pickle
import struct
import zlib
from collections.abc import Callable

import msgspec

LARGE = 60_000
"""Bytes of a message that is not packed: just under what headers may have."""
ZEROS = bytes(8 * 1024 * 1024)


def _msgpack() -> list[bytes]:
    return [
        b"\x91" * LARGE,
        b"\x81\xa1v" * (LARGE // 3),
        b"\xdd\xff\xff\xff\xff" + bytes(100),
        b"\xdf\xff\xff\xff\xff\xa1v\x01",
        b"\xdb\xff\xff\xff\xffab",
        b"\xc6\xff\xff\xff\xff",
        b"\xdc\xff\xff" + b"\xc0" * LARGE,
        msgspec.msgpack.encode({"v": 1, "labels": {str(k): "x" for k in range(LARGE // 8)}}),
        msgspec.msgpack.encode({"v": 1, "kind": "frame", "x": [{}] * LARGE}),
    ]


def _json() -> list[bytes]:
    return [
        b"[" * LARGE,
        b'{"a":' * (LARGE // 5),
        b"[" + b"{}," * (LARGE // 3) + b"0]",
        b"9" * LARGE,
        b'"' + b"a" * LARGE,
        b"[" + b"[]," * (LARGE // 3) + b"0]",
        b"1e" + b"9" * 999,
        b'{"version":1,"ids":' + b"[1.5," * (LARGE // 5),
        json.dumps({f"k{n}": {} for n in range(LARGE // 12)}).encode(),
    ]


def _wire_packed() -> list[bytes]:
    from target_wire import result

    from stream_avs.config import Encoding
    from stream_avs.publish import wire

    def packed(encoding: Encoding, payload: bytes, **changes: object) -> bytes:
        message = wire.encode(result(), encoding, confidence=False)
        header = msgspec.structs.replace(message.header, payload_bytes=(len(payload),), **changes)
        data = msgspec.msgpack.encode(header)
        return b"latest/cam0\0" + struct.pack("<I", len(data)) + data + payload

    bomb = zlib.compress(ZEROS, 9)
    side = 4096
    return [
        packed(Encoding.PACKBITS_ZLIB, bomb),
        packed(Encoding.PACKBITS_ZLIB, bomb, mask_size=(side, side)),
        packed(Encoding.RLE, struct.pack("<IB", side * side, 1), mask_size=(side, side)),
        packed(Encoding.RLE, struct.pack("<IB", 2**32 - 1, 1)),
        packed(Encoding.PNG, b"\x89PNG\r\n\x1a\n" + bytes(30), mask_size=(side, side)),
    ]


def _wire_headers() -> list[bytes]:
    """Whatever msgpack holds, and a header that is valid and as full as it may be."""
    from target_wire import result

    from stream_avs.publish import wire
    from stream_avs.publish.header import SoundingEntry

    full = msgspec.structs.replace(
        wire.encode(result()).header,
        labels=dict.fromkeys(range(256), "x"),
        sounding=(SoundingEntry(class_id=1, name="", score=0.0, area=0.0),) * 254,
        latency_ms={f"{k}": 0.0 for k in range(64)},
        class_ids=tuple(range(1, 256)),
    )
    return [*_msgpack(), msgspec.msgpack.encode(full)]


def _inflate() -> list[bytes]:
    return [b"\x40" + zlib.compress(ZEROS, 9), b"\x40" + zlib.compress(zlib.compress(ZEROS, 9), 9)]


def _mask(head: bytes = b"\x3f\x3f\2") -> list[bytes]:
    from target_wire import repair_png

    bomb = zlib.compress(ZEROS, 9)
    png = repair_png(struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0))
    return [
        head + bomb,
        head + png + struct.pack(">I", 2**31) + b"IDAT" + bomb,
        head + struct.pack("<IB", 2**32 - 1, 1),
    ]


def _yaml() -> list[bytes]:
    laughs = [f"a{k}: &a{k} [*a{k - 1}, *a{k - 1}]" for k in range(1, 40)]
    return [
        "\n".join(["a0: &a0 [x, x]", *laughs]).encode(),
        b"[" * 200_000,
        b"- " * 100_000,
        b"a: 1" + b":1" * 50_000,
        b"- a\n" * 9000,
        b"k: 0x" + b"f" * 200_000,
        b"&a [" + b"*a," * 60_000 + b"]",
        b"--- a\n" * 9000,
    ]


def _pickles() -> list[bytes]:
    head, many = b"\x80\x04", 100_000
    blob = b"B" + struct.pack("<I", 200_000) + bytes(200_000)
    call = b"ctorch.storage\n_load_from_bytes\n"
    doubled = b"N" + b"q\x00h\x00\x86" * 60
    stride = (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(ctorch.storage\n_load_from_bytes\nB%s\x85RK\x00"
        b"J\x00\x00\xff\x00\x85K\x00\x85\x89}tR."
    )
    return [
        head + b"}" * many + b".",
        head + b")" * many + b".",
        head + b"(" * many + b"t.",
        head + b"N" + b"h\x00" * many,
        head + b"\x8e" + struct.pack("<Q", 2**40),
        head + b"\x8d" + struct.pack("<Q", 2**62),
        head + b"r\xff\xff\xff\x7fN.",
        head + blob + b"q\x01" + (call + b"h\x01\x85R") * 300,
        head + doubled + b"\x85.",
        head + b"]" + b"(" + doubled * 20 + b"e.",
        b"\x80\x02cnumpy\ndtype\n" + doubled + b"\x85R.",
        stride % (struct.pack("<I", 4) + bytes(4)),
        b"\x80\x02ccollections\nOrderedDict\n]" + b"N" + doubled + b"N\x86a\x85R.",
        pickle.dumps([[]] * many, 2),
    ]


def _recordings() -> list[bytes]:
    import zstandard
    from lz4 import frame as lz4
    from target_recording import CHUNK, METADATA, _head, _record

    def chunk(name: bytes, packed: bytes, size: int) -> bytes:
        head = struct.pack("<QQQII", 0, 9, size, 0, len(name)) + name
        return _head() + _record(CHUNK, head + struct.pack("<Q", len(packed)) + packed)

    four, eight = struct.pack("<I", 2**32 - 1), struct.pack("<Q", 2**30 - 1)
    lied = [_head() + bytes([opcode]) + eight + four + eight for opcode in range(1, 16)]
    empty, zeros = struct.pack("<II", 0, 0), ZEROS[: 256 * 1024]
    tiny = _record(5, struct.pack("<HIQQ", 1, 1, 0, 0)) * 10_000
    return [
        *lied,
        *(b"t" + data for data in lied),
        chunk(b"lz4", lz4.compress(zeros), len(zeros)),
        chunk(b"lz4", lz4.compress(ZEROS), 100),
        chunk(b"lz4", lz4.compress(tiny), len(tiny)),
        chunk(b"lz4", lz4.compress(b""), 2**28),
        chunk(b"zstd", zstandard.compress(ZEROS), 100),
        chunk(b"zstd", zstandard.compress(ZEROS), 2**28),
        chunk(b"", bytes(100), 2**40),
        chunk(b"lz4", b"", 2**64 - 1),
        b"p" + b"\x05" + eight * 4,
        _head() + _record(METADATA, struct.pack("<II", 0, 80_000) + empty * 10_000),
    ]


def _weights() -> list[bytes]:
    def file(header: object) -> bytes:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text

    many = {f"{n}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for n in range(4000)}
    huge = {"a": {"dtype": "F32", "shape": [2**40, 2**40, 0], "data_offsets": [0, 0]}}
    return [
        struct.pack("<Q", 2**63) + bytes(64),
        struct.pack("<Q", 99_000_000) + b"{}",
        file(many),
        file(huge),
        file(b"[" * LARGE),
        file(b'{"a":' * (LARGE // 5)),
        file({"__metadata__": {f"{n}": "" for n in range(4000)}}),
        file({"a": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}) + b"\0",
    ]


def _png(width: int, height: int, *chunks: tuple[int, bytes, bytes]) -> bytes:
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    out = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    for length, name, content in (*chunks, (0, b"IEND", b"")):
        out += struct.pack(">I", length) + name + content + struct.pack(">I", zlib.crc32(name + content))
    return out


def _pictures() -> list[bytes]:
    zeros = zlib.compress(ZEROS, 9)
    text = b"a\0\0" + zeros
    return [
        b"\0" + _png(2**31 - 1, 2**31 - 1),
        b"\0" + _png(30_000, 30_000, (0, b"IDAT", b"")),
        b"\0" + _png(8, 8, (2**32 - 20, b"IDAT", b"")),
        b"\0" + _png(8, 8, (len(zeros), b"IDAT", zeros)),
        b"\0" + _png(8, 8, (len(text), b"zTXt", text)),
        b"\0" + _png(8, 8, (len(text), b"iCCP", text)),
        b"\0\xff\xd8\xff\xc2\0\x11\x08\xff\xff\xff\xff\3\1\x22\0\2\x11\1\3\x11\1"
        + b"\xff\xda\0\x0c\3\1\0\2\0\3\0\0\x3f\0" * 50,
    ]


def _ros() -> list[bytes]:
    """Lengths that lie, at every place of a short message; and a long one of empty texts."""
    head = b"\0\1\0\0"
    lies = [head + bytes(4 * k) + b"\xff\xff\xff\xff" + bytes(64) for k in range(24)]
    most = [
        head + bytes(8) + struct.pack("<I", 1) + bytes(4) + struct.pack("<I", n) + bytes(LARGE)
        for n in (5000, 2**32 - 1)
    ]
    return [*lies, *most]


def _ros_labels() -> list[bytes]:
    from target_ros import HEADER, STORE

    from stream_avs.ros2.image_fields import label_info_fields

    return [*_ros(), STORE.encode(label_info_fields(dict.fromkeys(range(1, 5000), ""), 0.5, HEADER))]


def _tables() -> list[bytes]:
    return [
        b"split\n" + b"val\n" * 15_000,
        b"split," + b"," * 5_000 + b"\n" + (b"," * 5_000 + b"\n") * 9,
        b'"' + b"a" * 200_000,
    ]


BOMBS: dict[str, Callable[[], list[bytes]]] = {
    **dict.fromkeys(("link-header", "control-request", "control-reply"), _msgpack),
    **dict.fromkeys(
        (
            "page-request",
            "settings",
            "camera-info",
            "kalibr",
            "av-calib",
            "class-names",
            "scene-classes",
            "annotations",
            "report",
            "network-description",
            "nano-description",
            "recorded-settings",
        ),
        _json,
    ),
    **{f"mask-{name}": _mask for name in ("rle", "mono8", "packbits", "png")},
    "wire-header": _wire_headers,
    "wire-packed": _wire_packed,
    "ros-labels": _ros_labels,
    "inflate": _inflate,
    "confidence": lambda: _mask(b"\x3f\x3f\0"),
    "yaml": _yaml,
    "pickle": _pickles,
    "recording": _recordings,
    "weights": _weights,
    "weights-metadata": _weights,
    "picture": _pictures,
    "table": _tables,
    **{
        f"ros-{name}": _ros
        for name in (
            "image",
            "compressed",
            "camera-info",
            "audio-info",
            "audio-drivers",
            "audio-mgonzs13",
        )
    },
}
"""By target."""
