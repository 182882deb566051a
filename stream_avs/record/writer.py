"""Items to a recording: topics, heads, limits. One thread; the queue before it is in `recorder`."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from stream_avs.clock import unix_offset_ns
from stream_avs.record import codec, schemas
from stream_avs.record.config import Picture, RecordConfig
from stream_avs.record.items import AudioItem, FrameItem, Item, NoteItem, NoteKind, ResultItem
from stream_avs.record.mcap_file import McapFile
from stream_avs.types import NS_PER_S, StampSource

FORMAT_VERSION = 1
HEAD = "stream_avs.recording"
TAIL = "stream_avs.end"
MB = 1e6


@dataclass(frozen=True, kw_only=True)
class RecordingInfo:
    """What is known when a recording begins; all of it goes to the head of the file.

    Attributes:
        stream: name of the stream.
        model_id: preset and weight hash; "" if no network runs.
        config: settings of the session as JSON.
        source: `SourceInfo` as JSON.
        offset_ns: unix time minus monotonic time for the whole recording.
        attachments: files to carry along, e.g. calibrations: name to content.
    """

    stream: str
    model_id: str = ""
    config: str = "{}"
    source: str = "{}"
    offset_ns: int = field(default_factory=unix_offset_ns)
    attachments: dict[str, bytes] = field(default_factory=dict)


class RecordingWriter:
    """Writes items to one file until a limit is reached.

    Args:
        path: the file.
        info: what goes to its head.
        config: format of pictures, and limits.

    Attributes:
        full: why nothing more is taken, "" while there is room.
        first_ns, last_ns: `log_ns` of the first and the newest item.

    Raises:
        PublishError: the file exists or cannot be made.
    """

    def __init__(self, path: Path, info: RecordingInfo, config: RecordConfig) -> None:
        self._info = info
        self._config = config
        self._topic = f"/{info.stream}"
        head = {
            "version": str(FORMAT_VERSION),
            "stream": info.stream,
            "model_id": info.model_id,
            "config": info.config,
            "source": info.source,
            "offset_ns": str(info.offset_ns),
            "picture": config.picture.value,
        }
        self._file = McapFile(path, {HEAD: head}, overwrite=config.overwrite)
        for name, data in info.attachments.items():
            self._file.attach(name, data, "application/octet-stream", info.offset_ns)
        self._stamps: dict[NoteKind, StampSource] = {}
        self._checked_bytes = 0
        self._seq = 0
        self.full = ""
        self.first_ns: int | None = None
        self.last_ns = 0
        self.frames = 0

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    @property
    def size_bytes(self) -> int:
        """Bytes in the file so far."""
        return self._file.size_bytes

    def write(self, item: Item) -> None:
        """Add one item, unless a limit has been reached.

        Raises:
            OSError: the disk is full or gone; the file keeps what it had.
            ValueError, WireError: the item cannot be written; the file is as before.
        """
        if self._is_full(item.log_ns):
            return
        if self.first_ns is None:
            self.first_ns = item.log_ns
        self.last_ns = item.log_ns
        if isinstance(item, FrameItem):
            self._frame(item)
        elif isinstance(item, AudioItem):
            self._audio(item)
        elif isinstance(item, ResultItem):
            self._result(item)
        else:
            self._note(item)

    def close(self, counts: dict[str, int]) -> None:
        """Finish the file; `counts` are the events of the whole session.

        Raises:
            OSError: the end could not be written; the rest is safe.
        """
        tail = {"counts": codec.to_json(counts), "frames": str(self.frames), "full": self.full}
        self._file.close({TAIL: tail})

    def abandon(self) -> None:
        """Close as it is, after an error."""
        self._file.abandon()

    def _is_full(self, log_ns: int) -> bool:
        config = self._config
        if self.full:
            return True
        if config.ring_s:
            return False  # the ring ends its segments itself
        if config.max_duration_s and log_ns - (self.first_ns or log_ns) >= config.max_duration_s * NS_PER_S:
            self.full = f"{config.max_duration_s:g} s are over"
        if config.max_size_mb and self.size_bytes >= config.max_size_mb * MB:
            self.full = f"{config.max_size_mb:g} MB are reached"
        self.full = self.full or self._disk_full()
        return bool(self.full)

    def _disk_full(self) -> str:
        """Look every 16 MB how much room is left."""
        if self._checked_bytes and self.size_bytes - self._checked_bytes < 16 * MB:
            return ""
        self._checked_bytes = max(1, self.size_bytes)
        return disk_full(self.path.parent, self._config.min_free_mb)

    def _frame(self, item: FrameItem) -> None:
        message = codec.encode_frame(
            item, self._info.offset_ns, self._config.picture, self._config.jpeg_quality
        )
        self._say_stamps(NoteKind.FRAME_STAMPS, item.stamp_source, item.log_ns)
        kind = codec.picture_type(self._config.picture)
        self._add("picture", kind, message, item.log_ns, item.arrival_ns)
        self.frames += 1

    def _audio(self, item: AudioItem) -> None:
        pcm, exact = codec.encode_audio(item.block, self._info.offset_ns)
        self._say_stamps(NoteKind.AUDIO_STAMPS, item.block.stamp_source, item.log_ns)
        self._add("audio", schemas.RAW_AUDIO, pcm, item.log_ns, item.log_ns)
        if exact is not None:
            self._add("audio_exact", schemas.EXACT_AUDIO, exact, item.log_ns, item.log_ns)

    def _result(self, item: ResultItem) -> None:
        message = codec.encode_result(item, self._info.offset_ns)
        mask = codec.encode_mask(item, self._info.offset_ns)
        self._add("result", schemas.RESULT, message, item.log_ns, item.result.publish_ns)
        self._add("mask", schemas.COMPRESSED_IMAGE, mask, item.log_ns, item.result.publish_ns)

    def _note(self, note: NoteItem) -> None:
        message = codec.encode_note(note, self._info.offset_ns)
        self._add("notes", schemas.NOTE, message, note.log_ns, note.log_ns)

    def _say_stamps(self, kind: NoteKind, source: StampSource, log_ns: int) -> None:
        if self._stamps.get(kind) is not source:
            self._stamps[kind] = source
            self._note(NoteItem(kind=kind, name=source.value, log_ns=log_ns))

    def _add(
        self, topic: str, kind: schemas.MessageType, message: bytes, log_ns: int, publish_ns: int
    ) -> None:
        offset_ns = self._info.offset_ns
        self._file.write(
            f"{self._topic}/{topic}", kind, message, log_ns + offset_ns, publish_ns + offset_ns, self._seq
        )
        self._seq += 1


def disk_full(folder: Path, min_free_mb: float) -> str:
    """Say that the disk of `folder` has less room than `min_free_mb`; "" if it has."""
    room = os.statvfs(folder)
    free_mb = room.f_bavail * room.f_frsize / MB
    return f"only {free_mb:.0f} MB are free on the disk" if free_mb < min_free_mb else ""


__all__ = ["FORMAT_VERSION", "HEAD", "TAIL", "Picture", "RecordingInfo", "RecordingWriter", "disk_full"]
