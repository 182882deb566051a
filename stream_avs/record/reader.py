"""Recordings read back, also those whose end is missing.

Read from front to back, chunk by chunk, without the index: a file that was cut off differs from a
whole one only in where it ends. One chunk is in memory at a time.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from stream_avs.errors import SourceError, WireError, missing_package
from stream_avs.record import codec, schemas
from stream_avs.record.bounded import BoundedFile, chunk_records
from stream_avs.record.items import AudioItem, FrameItem, Item, NoteKind, ResultItem
from stream_avs.record.writer import FORMAT_VERSION, HEAD, TAIL, RecordingInfo
from stream_avs.types import AudioBlock, StampSource

try:
    from mcap.exceptions import McapError
    from mcap.records import Attachment, Channel, Chunk, Footer, Message, Metadata, Schema
    from mcap.stream_reader import StreamReader
except ImportError:
    raise missing_package("mcap, which writes and reads recordings,", "record") from None

MAX_RECORD_BYTES = 1 << 30
MAX_OFFSET_NS = 2**62
_DAMAGE = (McapError, struct.error, ValueError, RuntimeError, EOFError, OverflowError, WireError)
_UPDATE = "Update stream-avs"


@dataclass(kw_only=True)
class ReadState:
    """How reading went.

    Attributes:
        complete: the file has its end.
        damage: what ended reading early; "" if nothing did.
        tail: last words, see FORMAT.md; empty if they are missing.
        lost: messages that could not be read in chunks that could.
    """

    complete: bool = False
    damage: str = ""
    tail: dict[str, str]
    lost: int = 0


class Recording:
    """A recording: one file, or a folder of the segments a ring recording saved.

    Args:
        path: the file or folder.

    Attributes:
        info: from the head of the (first) file.
        picture: how pictures were kept: "raw", "png" or "jpeg".
        states: one `ReadState` per file that `items` has begun.

    Raises:
        SourceError: not there, not a recording, or of a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = segments(path)
        self.states: list[ReadState] = []
        self.info, self.picture = _read_head(self.files[0])

    def items(self, *, pictures: bool = True) -> Iterator[Item]:
        """Yield all items in the order they happened; `states` tells what was missing.

        Args:
            pictures: False leaves frames out, without the work of unpacking them.
        """
        self.states = []
        for path in self.files:
            state = ReadState(tail={})
            self.states.append(state)
            offset_ns = _read_head(path)[0].offset_ns
            yield from _FileReader(path, offset_ns, state, pictures).items()

    @property
    def complete(self) -> bool:
        """True once `items` has read every file to its proper end."""
        return len(self.states) == len(self.files) and all(s.complete for s in self.states)

    def damage(self) -> str:
        """What was wrong with the files, in one line; "" if nothing was."""
        told = [
            f"{path.name}: {s.damage}" for path, s in zip(self.files, self.states, strict=False) if s.damage
        ]
        lost = sum(s.lost for s in self.states)
        return "; ".join(told + ([f"{lost} messages could not be read"] if lost else []))


def segments(path: Path) -> list[Path]:
    """Files of a recording, in order.

    Raises:
        SourceError: there is none.
    """
    if path.is_dir():
        files = sorted(path.glob("*.mcap"))
        if not files:
            raise SourceError(
                f"folder {path} holds no .mcap files", "Give a file, or a folder saved by a ring"
            )
        return files
    if not path.is_file():
        raise SourceError(f"recording {path} does not exist", "Check the path")
    return [path]


def read_attachments(path: Path) -> dict[str, bytes]:
    """Files that a recording carries, by name.

    Raises:
        SourceError: it cannot be read.
    """
    found = {}
    with _open(path) as file:
        try:
            for record in _records(file):
                if isinstance(record, Attachment):
                    found[record.name] = record.data
        except _DAMAGE:
            pass  # a missing end holds no attachments: they are at the head
    return found


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}", "Check the path") from None


def _records(file: BinaryIO) -> Iterator[object]:
    """The records of a file, its chunks whole."""
    bounded = cast(IO[bytes], BoundedFile(file))
    return StreamReader(bounded, emit_chunks=True, record_size_limit=MAX_RECORD_BYTES).records


def _read_head(path: Path) -> tuple[RecordingInfo, str]:
    """What the head of a file says, and how pictures were kept."""
    with _open(path) as file:
        try:
            for record in _records(file):
                if isinstance(record, Chunk):
                    break
                if isinstance(record, Metadata) and record.name == HEAD:
                    return _checked_head(path, record.metadata)
        except _DAMAGE as error:
            raise SourceError(
                f"{path} is no MCAP file: {error or 'it ends early'}", "Check the path"
            ) from None
    raise SourceError(
        f"{path} was not recorded by stream-avs: it has no {HEAD}",
        "Give a file that `stream-avs record` wrote",
    )


def _checked_head(path: Path, head: dict[str, str]) -> tuple[RecordingInfo, str]:
    version = head.get("version", "")
    if not version.isdigit() or int(version) != FORMAT_VERSION:
        raise SourceError(
            f"{path} is a recording of version {version or 'none'}, this reads version {FORMAT_VERSION}",
            _UPDATE,
        )
    try:
        info = RecordingInfo(
            stream=head["stream"], model_id=head["model_id"], config=head["config"],
            source=head["source"], offset_ns=int(head["offset_ns"]),
        )  # fmt: skip
        if abs(info.offset_ns) > MAX_OFFSET_NS:
            raise ValueError(f"offset_ns {info.offset_ns}")
    except (KeyError, ValueError) as error:
        raise SourceError(f"{path} has a damaged head: {error!r}", "Record it again") from None
    return info, head.get("picture", "raw")


class _FileReader:
    """Turns the messages of one file into items."""

    def __init__(self, path: Path, offset_ns: int, state: ReadState, pictures: bool) -> None:
        self._path = path
        self._offset_ns = offset_ns
        self._state = state
        self._pictures = pictures
        self._schemas: dict[int, str] = {}
        self._channels: dict[int, tuple[str, str]] = {}
        self._stamps = {
            NoteKind.FRAME_STAMPS: StampSource.ARRIVAL,
            NoteKind.AUDIO_STAMPS: StampSource.ARRIVAL,
        }
        self._held: AudioItem | None = None  # until it is clear that no exact samples follow

    def items(self) -> Iterator[Item]:
        with _open(self._path) as file:
            try:
                for chunk in self._chunks(file):
                    for record in chunk_records(chunk):
                        yield from self._record(record)
            except _DAMAGE as error:
                at = file.tell()
                self._state.damage = f"ends early, near byte {at} ({error or 'end of file'})"
        if self._held is not None:
            yield self._held

    def _chunks(self, file: BinaryIO) -> Iterator[Chunk]:
        ended = False
        for record in _records(file):
            if isinstance(record, Chunk):
                yield record
            elif isinstance(record, Metadata) and record.name == TAIL:
                self._state.tail = record.metadata
            elif isinstance(record, Footer):
                ended = True
        self._state.complete = ended

    def _record(self, record: object) -> Iterator[Item]:
        if isinstance(record, Schema):
            self._schemas[record.id] = record.name
        elif isinstance(record, Channel):
            topic = record.topic.rpartition("/")[2]
            self._channels[record.id] = (topic, self._schemas.get(record.schema_id, ""))
        elif isinstance(record, Message):
            try:
                yield from self._message(record)
            except _DAMAGE:
                self._state.lost += 1

    def _message(self, message: Message) -> Iterator[Item]:
        topic, kind = self._channels.get(message.channel_id, ("", ""))
        log_ns = message.log_time - self._offset_ns
        if topic == "audio_exact" and self._held is not None:
            yield self._exact(message, self._held)
            self._held = None
            return
        if self._held is not None:
            yield self._held
            self._held = None
        if topic == "picture" and self._pictures:
            yield self._frame(message, kind, log_ns)
        elif topic == "audio":
            self._held = self._audio(message, log_ns)
        elif topic == "result":
            yield ResultItem(result=codec.decode_result(message.data), log_ns=log_ns)
        elif topic == "notes" and kind == schemas.NOTE.name:
            note = codec.decode_note(message.data, self._offset_ns)
            if note is not None and note.kind in self._stamps:
                self._stamps[note.kind] = StampSource(note.name)
            elif note is not None:
                yield note

    def _frame(self, message: Message, kind: str, log_ns: int) -> FrameItem:
        image, stamp_ns, frame_id = codec.decode_frame(message.data, kind)
        return FrameItem(
            image=image,
            stamp_ns=stamp_ns - self._offset_ns,
            arrival_ns=message.publish_time - self._offset_ns,
            frame_id=frame_id,
            stamp_source=self._stamps[NoteKind.FRAME_STAMPS],
            log_ns=log_ns,
        )

    def _audio(self, message: Message, log_ns: int) -> AudioItem:
        samples, stamp_ns, rate_hz = codec.decode_audio(message.data)
        block = AudioBlock(
            samples=samples,
            stamp_ns=stamp_ns - self._offset_ns,
            sample_rate_hz=rate_hz,
            stamp_source=self._stamps[NoteKind.AUDIO_STAMPS],
        )
        return AudioItem(block=block, log_ns=log_ns)

    def _exact(self, message: Message, held: AudioItem) -> AudioItem:
        samples, stamp_ns = codec.decode_exact_audio(message.data, held.block.samples.shape[1])
        if stamp_ns - self._offset_ns != held.block.stamp_ns or samples.shape != held.block.samples.shape:
            raise ValueError("exact samples do not belong to the block before them")
        block = AudioBlock(
            samples=samples,
            stamp_ns=held.block.stamp_ns,
            sample_rate_hz=held.block.sample_rate_hz,
            stamp_source=held.block.stamp_source,
        )
        return AudioItem(block=block, log_ns=held.log_ns)
