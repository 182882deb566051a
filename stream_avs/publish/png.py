"""8-bit PNG of class ids, written and read with zlib alone (PNG specification, third edition).

Written files are ordinary PNG. Read are only those of the same kind: no interlace, filter type 0,
no chunks but IHDR, IDAT and IEND; so that the cost of reading is known before it starts.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from stream_avs.errors import WireError
from stream_avs.publish.inflate import deflate, inflate
from stream_avs.types import ClassMap

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, PALETTE = 0, 3


def encode_png(mask: ClassMap, palette: NDArray[np.uint8] | None = None) -> bytes:
    """Write uint8 [h, w] as a PNG file: grey levels, or indices into `palette` (uint8 [256, 3], RGB)."""
    height, width = mask.shape
    rows = np.zeros((height, width + 1), np.uint8)
    rows[:, 1:] = mask
    kind = GREY if palette is None else PALETTE
    chunks = [_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))]
    if palette is not None:
        chunks.append(_chunk(b"PLTE", palette.tobytes()))
    chunks += [_chunk(b"IDAT", deflate(rows.tobytes())), _chunk(b"IEND", b"")]
    return SIGNATURE + b"".join(chunks)


def decode_png(data: bytes | memoryview, size: tuple[int, int]) -> ClassMap:
    """Read a grey PNG file that must be `size` (width, height); uint8 [h, w].

    Allocates at most four times width x height, plus the length of `data`.

    Raises:
        WireError: damaged, of another size, or of a kind this module does not write.
    """
    view = memoryview(data)
    if view[:8] != SIGNATURE:
        raise WireError(
            f"png payload starts with {bytes(view[:8]).hex(' ') or 'nothing'}, not a PNG signature"
        )
    width, height = size
    expected = struct.pack(">IIBBBBB", width, height, 8, GREY, 0, 0, 0)
    body: list[memoryview] = []
    name, content, view = _next_chunk(view[8:])
    if name != b"IHDR" or content != expected:
        raise WireError(f"png payload is not 8-bit grey {width}x{height} without interlace")
    while True:
        name, content, view = _next_chunk(view)
        if name == b"IEND":
            break
        if name != b"IDAT":
            raise WireError(f"png payload has a chunk {name!r}", "Only IHDR, IDAT and IEND are allowed")
        body.append(content)
    if len(view):
        raise WireError(f"png payload is followed by {len(view)} bytes that do not belong to it")
    raw = inflate(b"".join(body), height * (width + 1), "png image data")
    rows = np.frombuffer(raw, np.uint8).reshape(height, width + 1)
    if rows[:, 0].any():
        raise WireError("png payload uses row filters", "Write it with filter type 0 (None)")
    return rows[:, 1:].copy()


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _next_chunk(view: memoryview) -> tuple[bytes, memoryview, memoryview]:
    """Split off one chunk: its name, its content and what follows."""
    if len(view) < 12:
        raise WireError("png payload is cut short")
    (length,) = struct.unpack(">I", view[:4])
    if length > len(view) - 12:
        raise WireError(f"png payload has a chunk of {length} bytes where {len(view) - 12} are left")
    name, content = bytes(view[4:8]), view[8 : 8 + length]
    (crc,) = struct.unpack(">I", view[8 + length : 12 + length])
    if crc != zlib.crc32(view[4 : 8 + length]):
        raise WireError(f"png payload has a damaged chunk {name!r}")
    return name, content, view[12 + length :]
