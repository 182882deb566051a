"""Settings of recordings and of what shows the same messages live."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from stream_avs.config import require


class Picture(enum.StrEnum):
    """How pictures are kept."""

    RAW = "raw"  # every bit, chunks packed with LZ4; little work, large files
    PNG = "png"  # every bit; about ten times the work of raw, half the size
    JPEG = "jpeg"  # small files; a replay gives almost the same windows, and says so


@dataclass(frozen=True, kw_only=True)
class RecordConfig:
    """Where and how a session is recorded."""

    path: str = ""
    """MCAP file to write; with `ring_s`, the folder that gets what is saved. Empty for none."""
    picture: Picture = Picture.RAW
    """raw and png keep every bit; jpeg is smaller, and its replay is not bit-equal."""
    jpeg_quality: int = 95
    """Quality of jpeg pictures, 1..100."""
    max_size_mb: float = 0.0
    """End the recording at this size, in 10^6 bytes; 0 for no limit. With `ring_s`, the ring's size."""
    max_duration_s: float = 0.0
    """End the recording after this long; 0 for no limit."""
    ring_s: float = 0.0
    """Keep only the last so many seconds, and save them when SIGUSR1 or `stream-avs record save` asks."""
    min_free_mb: float = 500.0
    """End the recording rather than leave less room than this on the disk, in 10^6 bytes."""
    queue_mb: float = 128.0
    """Data that may wait for the disk; what comes on top is left out and counted."""
    overwrite: bool = False
    """Replace a file that is there."""

    def __post_init__(self) -> None:
        require(1 <= self.jpeg_quality <= 100, "record.jpeg_quality", self.jpeg_quality, "1..100")
        require(self.max_size_mb >= 0, "record.max_size_mb", self.max_size_mb, "0 or more")
        require(self.max_duration_s >= 0, "record.max_duration_s", self.max_duration_s, "0 or more seconds")
        require(
            self.ring_s == 0 or 1 <= self.ring_s <= 3600, "record.ring_s", self.ring_s, "0 or 1..3600 s"
        )  # fmt: skip
        require(self.min_free_mb >= 0, "record.min_free_mb", self.min_free_mb, "0 or more")
        require(1 <= self.queue_mb <= 100_000, "record.queue_mb", self.queue_mb, "1..100000")


@dataclass(frozen=True, kw_only=True)
class FoxgloveConfig:
    """Where Foxglove finds a live session; this machine only."""

    serve: bool = False
    """Show the session in Foxglove too; `--foxglove` for short."""
    port: int = 8766
    """Port on 127.0.0.1; 0 takes one that is free."""
    jpeg_quality: int = 80
    """Quality of the pictures, 1..100."""

    def __post_init__(self) -> None:
        require(0 <= self.port <= 65535, "foxglove.port", self.port, "0..65535")
        require(1 <= self.jpeg_quality <= 100, "foxglove.jpeg_quality", self.jpeg_quality, "1..100")


@dataclass(frozen=True, kw_only=True)
class RerunConfig:
    """Where a live session is logged for Rerun."""

    to: str = ""
    """A file .rrd, or the address of a running viewer, e.g. rerun+http://127.0.0.1:9876/proxy; empty for
    none. `--rerun TARGET` for short."""
    jpeg_quality: int = 80
    """Quality of the pictures, 1..100."""

    def __post_init__(self) -> None:
        require(1 <= self.jpeg_quality <= 100, "rerun.jpeg_quality", self.jpeg_quality, "1..100")
