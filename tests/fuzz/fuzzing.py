"""What a fuzz target is: one decoder, valid messages to start from, and what it may answer."""

from __future__ import annotations

import atexit
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stream_avs import picture_input
from stream_avs.errors import StreamAvsError

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, kw_only=True)
class Target:
    """One decoder of bytes from outside.

    Attributes:
        name: for the command line.
        decode: takes a message; raises nothing but `refuses`.
        seeds: makes valid messages, and some nearly valid ones.
        refuses: the errors that the decoder documents.
        form: how messages are laid out; msgpack and json are mutated value by value too.
        max_bytes: longest message to try.
        multiple, constant_bytes: decoding holds at most multiple x length + constant at any time.
    """

    name: str
    decode: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    refuses: tuple[type[Exception], ...] = (StreamAvsError,)
    form: Literal["bytes", "msgpack", "json"] = "bytes"
    max_bytes: int = 4 * KIB
    multiple: int = 16
    constant_bytes: int = 512 * KIB

    def accepts(self, data: bytes) -> bool:
        """Decode; False if the decoder refuses as it should. Anything else that it raises is a bug."""
        try:
            self.decode(data)
        except self.refuses:
            return False
        return True

    def most_bytes(self, data: bytes) -> int:
        """What decoding `data` may hold in memory."""
        return self.multiple * len(data) + self.constant_bytes


@contextmanager
def small_pictures() -> Iterator[None]:
    """Let pictures have 4096 pixels at most: a thousand times more are a thousand times slower to decode.

    What larger ones cost is tested apart.
    """
    most = picture_input.MAX_PIXELS
    picture_input.MAX_PIXELS = 4096
    try:
        yield
    finally:
        picture_input.MAX_PIXELS = most


_SCRATCH = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())


def in_file(read: Callable[[Path], object], suffix: str = "") -> Callable[[bytes], object]:
    """Turn a reader of files into a decoder of bytes; the file is one and the same, in memory."""
    opened: list[tuple[int, Path]] = []

    def decode(data: bytes) -> object:
        if not opened:
            handle, name = tempfile.mkstemp(suffix, "avs-fuzz-", _SCRATCH)
            opened.append((handle, Path(name)))
            atexit.register(Path(name).unlink)
        handle, path = opened[0]
        os.pwrite(handle, data, 0)
        os.ftruncate(handle, len(data))
        return read(path)

    return decode
