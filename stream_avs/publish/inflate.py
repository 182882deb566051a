"""zlib with an exact expectation: a stream that holds one byte more or less is refused.

Decompression stops one byte past the expected length, so that a small message cannot fill the
memory (a "decompression bomb").
"""

from __future__ import annotations

import zlib

from stream_avs.errors import WireError

LEVEL = 1
"""Level 1: for masks the size of level 6 within a few percent, at a third of the time."""


def deflate(data: bytes) -> bytes:
    """Compress to a zlib stream (RFC 1950)."""
    return zlib.compress(data, LEVEL)


def inflate(data: bytes | memoryview, length: int, what: str) -> bytes:
    """Decompress a zlib stream that must hold exactly `length` bytes and end where `data` ends.

    Allocates at most twice `length` plus a constant.

    Raises:
        WireError: damaged, truncated, longer or shorter than expected, or followed by other bytes.
    """
    stream = zlib.decompressobj()
    try:
        raw = stream.decompress(data, length + 1)
    except zlib.error as error:
        raise WireError(f"{what} is not a zlib stream: {error}") from None
    if len(raw) > length:
        raise WireError(f"{what} unpacks to more than the {length} bytes its size asks for")
    if not stream.eof:
        raise WireError(f"{what} is cut short: {len(raw)} of {length} bytes unpacked")
    if len(raw) != length:
        raise WireError(f"{what} unpacks to {len(raw)} bytes, its size asks for {length}")
    if stream.unused_data:
        raise WireError(f"{what} is followed by {len(stream.unused_data)} bytes that do not belong to it")
    return raw
