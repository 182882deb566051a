"""What keeps a recording of unknown origin from taking more memory than it has bytes to show for.

The package mcap believes lengths: it asks the file for as many bytes as a record says it has, and
unpacks a chunk to whatever comes out.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from stream_avs.errors import missing_package

try:
    import lz4.frame
    import zstandard
    from mcap.opcode import Opcode
    from mcap.records import Channel, Chunk, Message, Schema
    from mcap.stream_reader import get_chunk_data_stream
except ImportError:
    raise missing_package("mcap, which writes and reads recordings,", "record") from None

MAX_CHUNK_BYTES = 256 * 1024 * 1024
"""Unpacked; this package closes a chunk after half a megabyte, or after one larger picture."""
PIECE_BYTES = 1024 * 1024
LZ4_RATIO = 255
"""LZ4 packs no tighter (its block format, "sequences": one byte of length stands for 255)."""


class BoundedFile:
    """A file whose `read` asks for no more than there is.

    Args:
        file: at its start.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, length: int) -> bytes:
        """Read up to `length` bytes, fewer at the end."""
        if length > PIECE_BYTES:
            length = min(length, max(0, os.fstat(self._file.fileno()).st_size - self._file.tell()))
        return self._file.read(length)


def chunk_records(chunk: Chunk) -> Iterator[Channel | Message | Schema]:
    """Yield the records of a chunk one by one; holds at most four times what it declares, plus 8 MiB.

    Raises:
        ValueError, RuntimeError: as `unpack_chunk`, or another checksum.
        McapError, struct.error, OverflowError: a record that ends too late.
    """
    stream, length = get_chunk_data_stream(unpack_chunk(chunk), validate_crc=True)
    while stream.count < length:
        opcode, size = stream.read1(), stream.read8()
        if opcode == Opcode.CHANNEL:
            yield Channel.read(stream)
        elif opcode == Opcode.MESSAGE:
            yield Message.read(stream, size)
        elif opcode == Opcode.SCHEMA:
            yield Schema.read(stream)
        else:
            stream.read(size)


def unpack_chunk(chunk: Chunk) -> Chunk:
    """The same chunk without compression.

    Raises:
        ValueError: it declares too much, or holds another number of bytes.
        RuntimeError: damaged.
    """
    size = chunk.uncompressed_size
    if not chunk.compression:
        return chunk
    if size > MAX_CHUNK_BYTES:
        raise ValueError(f"chunk of {size} bytes, the limit is {MAX_CHUNK_BYTES}")
    if chunk.compression == "lz4":
        if size > LZ4_RATIO * len(chunk.data):
            raise ValueError(f"chunk declares {size} bytes, which {len(chunk.data)} packed cannot hold")
        data = lz4.frame.LZ4FrameDecompressor().decompress(chunk.data, max_length=size + 1)
    elif chunk.compression == "zstd":
        data = _unpack_zstd(chunk.data, size + 1)
    else:
        raise ValueError(f"chunk has compression {chunk.compression:.20}")
    if len(data) != size:
        raise ValueError(f"chunk unpacks to other than the {size} bytes it declares")
    return replace(chunk, compression="", data=data)


def _unpack_zstd(packed: bytes, most: int) -> bytes:
    out = bytearray()
    try:
        with zstandard.ZstdDecompressor(max_window_size=8 * PIECE_BYTES).stream_reader(
            io.BytesIO(packed)
        ) as reader:
            while len(out) < most and (piece := reader.read(min(PIECE_BYTES, most - len(out)))):
                out += piece
    except zstandard.ZstdError as error:
        raise ValueError(f"chunk cannot be unpacked: {error}") from None
    return bytes(out)
