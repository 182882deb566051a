"""The last seconds of a session, kept on disk in segments of which the oldest is deleted.

Saving moves the segments to a folder: nothing is copied, nothing can go wrong for lack of room.
"""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

from stream_avs.errors import PublishError
from stream_avs.record.config import RecordConfig
from stream_avs.record.items import Item
from stream_avs.record.writer import MB, RecordingInfo, RecordingWriter, disk_full
from stream_avs.types import NS_PER_S

SEGMENTS = 6
"""A ring is this many segments, so up to a sixth more than asked for is kept."""
PID_FILE = "pid"


class Ring:
    """Writes segments below `config.path`/ring and keeps those of the last `config.ring_s`.

    Args:
        info: goes to the head of every segment.
        config: where, how long, how large.

    Raises:
        PublishError: the folder cannot be made, or another process keeps a ring there.
    """

    def __init__(self, info: RecordingInfo, config: RecordConfig) -> None:
        self._info = info
        self._config = config
        self._folder = Path(config.path)
        self._ring = self._folder / "ring"
        self._segment_ns = round(config.ring_s / SEGMENTS * NS_PER_S)
        self._done: deque[RecordingWriter] = deque()
        self._current: RecordingWriter | None = None
        self._made = 0
        self.saved: list[Path] = []
        self._claim()

    @property
    def size_bytes(self) -> int:
        """Bytes of all segments kept."""
        current = self._current.size_bytes if self._current else 0
        return current + sum(segment.size_bytes for segment in self._done)

    @property
    def seconds(self) -> float:
        """How far back the ring reaches."""
        first = self._done[0] if self._done else self._current
        if first is None or first.first_ns is None or self._current is None:
            return 0.0
        return (self._current.last_ns - first.first_ns) / NS_PER_S

    def write(self, item: Item) -> None:
        """Add one item; see `RecordingWriter.write`."""
        begun_ns = self._current.first_ns if self._current else None
        if begun_ns is not None and item.log_ns - begun_ns >= self._segment_ns:
            self._end_segment()
            self._forget()
        if self._current is None:
            self._current = RecordingWriter(self._ring / f"{self._made:06d}.mcap", self._info, self._config)
            self._made += 1
        self._current.write(item)

    def save(self, name: str) -> Path | None:
        """Move all segments to a new folder `name`; None if there is nothing to save.

        Raises:
            OSError: the folder cannot be made.
        """
        self._end_segment()
        if not self._done:
            return None
        target = self._folder / name
        target.mkdir(parents=True)
        for segment in self._done:
            os.replace(segment.path, target / segment.path.name)
        self._done.clear()
        self.saved.append(target)
        return target

    def close(self) -> None:
        """Delete what was not saved."""
        if self._current is not None:
            self._current.abandon()
            self._done.append(self._current)
            self._current = None
        for segment in self._done:
            segment.path.unlink(missing_ok=True)
        self._done.clear()
        (self._ring / PID_FILE).unlink(missing_ok=True)

    def _claim(self) -> None:
        try:
            self._ring.mkdir(parents=True, exist_ok=True)
            other = running_pid(self._folder)
            if other:
                raise PublishError(f"process {other} keeps a ring in {self._folder}", "Choose another folder")
            self._rescue()
            (self._ring / PID_FILE).write_text(str(os.getpid()))
        except OSError as error:
            raise PublishError(
                f"folder {self._folder} cannot be used: {error.strerror}", "Choose another folder"
            ) from None

    def _rescue(self) -> None:
        """A process that was killed left its ring: it may be just what is wanted, so it is kept."""
        left = sorted(self._ring.glob("*.mcap"))
        if not left:
            return
        target = self._folder / f"left-{left[-1].stat().st_mtime_ns // NS_PER_S}"
        target.mkdir(exist_ok=True)
        for path in left:
            os.replace(path, target / path.name)

    def _end_segment(self) -> None:
        if self._current is not None and self._current.first_ns is not None:
            self._current.close({})
            self._done.append(self._current)
            self._current = None

    def _forget(self) -> None:
        """Delete segments that are too old, too much, or in the way on a full disk."""
        limit_mb = self._config.max_size_mb
        while self._done:
            over = len(self._done) > SEGMENTS or (limit_mb and self.size_bytes > limit_mb * MB)
            if not over and not disk_full(self._ring, self._config.min_free_mb):
                return
            self._done.popleft().path.unlink(missing_ok=True)


def running_pid(folder: Path) -> int:
    """The process that keeps a ring in `folder`; 0 if none does."""
    try:
        pid = int((folder / "ring" / PID_FILE).read_text())
        os.kill(pid, 0)
    except (OSError, ValueError):
        return 0
    return 0 if pid == os.getpid() else pid
