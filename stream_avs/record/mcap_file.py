"""One MCAP file, written so that a process killed at any moment leaves all but its last chunk.

Each chunk goes to the kernel whole, the moment it is done: no buffer of this process holds part of
one. A write that fails (a full disk) is taken back to the last whole chunk.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, Any, cast

from stream_avs import __version__
from stream_avs.errors import PublishError, missing_package
from stream_avs.record.schemas import MessageType

try:
    from mcap.writer import CompressionType, Writer
except ImportError:
    raise missing_package("mcap, which writes and reads recordings,", "record") from None
if not hasattr(Writer, "flush"):
    raise missing_package("mcap 1.5 or newer", "record")

CHUNK_BYTES = 512 * 1024
"""Half a megabyte: less than one raw 640x480 picture, or half a second of its JPEGs."""
FLUSH_NS = 1_000_000_000
"""A chunk is closed after a second even if it is small."""


class McapFile:
    """Writes messages to channels; schemas and channels are made when first used.

    Args:
        path: the file; must not exist unless `overwrite`.
        metadata: put at the head of the file, by name.
        overwrite: replace what is there.

    Raises:
        PublishError: the file exists or cannot be made.
        MissingPackageError: the package mcap is not installed.
    """

    def __init__(self, path: Path, metadata: dict[str, dict[str, str]], *, overwrite: bool = False) -> None:
        self.path = path
        self._out = _Out(path, overwrite)
        self._mcap: Any = Writer(
            cast(IO[bytes], self._out), chunk_size=CHUNK_BYTES, compression=CompressionType.LZ4
        )
        self._schemas: dict[str, int] = {}
        self._channels: dict[tuple[str, str], int] = {}
        self._flushed_ns: int | None = None
        try:
            self._mcap.start("ros2", f"stream-avs {__version__}")
            for name, values in metadata.items():
                self._mcap.add_metadata(name, values)
        except OSError as error:
            self._out.close()
            raise _failed(path, error) from None

    @property
    def size_bytes(self) -> int:
        """Bytes in the file so far."""
        return self._out.good_bytes

    def write(
        self, topic: str, kind: MessageType, message: bytes, log_ns: int, publish_ns: int, seq: int = 0
    ) -> None:
        """Add a message; times are unix ns.

        Raises:
            OSError: the disk is full or gone; the file keeps its whole chunks.
        """
        self._mcap.add_message(
            self._channel(topic, kind), max(0, log_ns), message, max(0, publish_ns), seq & 0xFFFFFFFF
        )
        if self._flushed_ns is None:
            self._flushed_ns = log_ns
        if log_ns - self._flushed_ns >= FLUSH_NS:
            self._mcap.flush()
            self._flushed_ns = log_ns

    def attach(self, name: str, data: bytes, media_type: str, time_ns: int) -> None:
        """Put a file into the file.

        Raises:
            OSError: as `write`.
        """
        self._mcap.add_attachment(time_ns, time_ns, name, media_type, data)

    def close(self, metadata: dict[str, dict[str, str]]) -> None:
        """Add last words and the index, and close.

        Raises:
            OSError: they could not be written; what was there before is safe.
        """
        try:
            self._mcap.flush()
            for name, values in metadata.items():
                self._mcap.add_metadata(name, values)
            self._mcap.finish()
        finally:
            self._out.close()

    def abandon(self) -> None:
        """Close without an index; readers find their way from the front."""
        self._out.close()

    def _channel(self, topic: str, kind: MessageType) -> int:
        key = (topic, kind.name)
        if key not in self._channels:
            if kind.name not in self._schemas:
                self._schemas[kind.name] = self._mcap.register_schema(
                    kind.name, "ros2msg", kind.definition.encode()
                )
            # rosbag2 looks for the entry; an empty one means its defaults.
            self._channels[key] = self._mcap.register_channel(
                topic, "cdr", self._schemas[kind.name], {"offered_qos_profiles": ""}
            )
        return self._channels[key]


class _Out:
    """The file: whole writes or none."""

    def __init__(self, path: Path, overwrite: bool) -> None:
        flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if overwrite else os.O_EXCL)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, flags, 0o644)
        except FileExistsError:
            raise PublishError(
                f"{path} exists", "Choose another file, or replace it with --record.overwrite"
            ) from None
        except OSError as error:
            raise _failed(path, error) from None
        self.good_bytes = 0

    def write(self, data: bytes) -> int:
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError:
            os.ftruncate(self._fd, self.good_bytes)
            os.lseek(self._fd, self.good_bytes, os.SEEK_SET)
            raise
        self.good_bytes += len(data)
        return len(data)

    def tell(self) -> int:
        return self.good_bytes

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


def _failed(path: Path, error: OSError) -> PublishError:
    return PublishError(f"{path} cannot be written: {error.strerror}", "Choose another file or disk")
