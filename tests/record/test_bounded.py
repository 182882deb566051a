"""Chunks unpack to what they declare; a file is not asked for more than it has."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import lz4.frame
import pytest
import zstandard
from mcap.records import Chunk

from stream_avs.record.bounded import MAX_CHUNK_BYTES, BoundedFile, unpack_chunk

CONTENT = bytes(range(256)) * 40
PACK = {"lz4": lz4.frame.compress, "zstd": zstandard.compress, "": bytes}


def chunk(compression: str, data: bytes, size: int) -> Chunk:
    return Chunk(
        compression=compression,
        data=data,
        message_end_time=0,
        message_start_time=0,
        uncompressed_crc=0,
        uncompressed_size=size,
    )


@pytest.mark.parametrize("compression", PACK)
def test_a_chunk_is_unpacked(compression: str) -> None:
    found = unpack_chunk(chunk(compression, PACK[compression](CONTENT), len(CONTENT)))
    assert (found.compression, found.data) == ("", CONTENT)


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1, 2**28, MAX_CHUNK_BYTES + 1, 2**64 - 1])
def test_a_chunk_that_lies_about_its_size_is_refused(compression: str, size: int) -> None:
    with pytest.raises(ValueError, match="chunk"):
        unpack_chunk(chunk(compression, PACK[compression](CONTENT), size))


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_a_bomb_stops_where_its_declared_size_ends(compression: str) -> None:
    packed = PACK[compression](bytes(64 * 1024 * 1024))
    tracemalloc.start()
    with pytest.raises(ValueError, match="other than the 1000 bytes"):
        unpack_chunk(chunk(compression, packed, 1000))
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_a_damaged_chunk_is_refused(compression: str) -> None:
    packed = PACK[compression](CONTENT)
    with pytest.raises((ValueError, RuntimeError)):
        unpack_chunk(chunk(compression, packed[: len(packed) // 2], len(CONTENT)))


def test_a_file_is_not_asked_for_more_than_it_has(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(CONTENT)
    with path.open("rb") as file:
        bounded = BoundedFile(file)
        tracemalloc.start()
        assert bounded.read(10) + bounded.read(2**40) == CONTENT
        assert bounded.read(2**40) == b""
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
        tracemalloc.stop()
