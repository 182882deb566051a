"""Recordings: each kind of message, and the MCAP file around them."""

from __future__ import annotations

import struct
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast

import lz4.frame
import numpy as np
import zstandard
from fuzzing import KIB, MIB, Target, in_file, small_pictures
from target_wire import result

from stream_avs.capture.base import SourceInfo
from stream_avs.capture.replay import source_info
from stream_avs.config import RunConfig
from stream_avs.record import codec, schemas
from stream_avs.record.config import Picture, RecordConfig
from stream_avs.record.items import AudioItem, FrameItem, NoteItem, NoteKind, ResultItem
from stream_avs.record.reader import Recording, read_attachments
from stream_avs.record.settings import recorded_settings
from stream_avs.record.writer import RecordingInfo, RecordingWriter
from stream_avs.types import AudioBlock, StampSource

from stream_avs.errors import StreamAvsError  # isort: skip

OFFSET_NS = 10**18
MAGIC = b"\x89MCAP0\r\n"
CHUNK, METADATA = 6, 12
DAMAGED = (StreamAvsError, ValueError)


def _frame(picture: Picture) -> bytes:
    image = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(6, 8, 3)
    item = FrameItem(
        image=image, stamp_ns=5, arrival_ns=6, frame_id="eye", stamp_source=StampSource.DRIVER, log_ns=7
    )
    return codec.encode_frame(item, OFFSET_NS, picture, 60)


def _block(*, exact: bool) -> AudioBlock:
    samples = np.linspace(-1, 0.5, 8, dtype=np.float32).reshape(4, 2)
    samples = np.round(samples * 4) / 4 if exact else samples / 3
    return AudioBlock(
        samples=samples.astype(np.float32), stamp_ns=5, sample_rate_hz=16_000, stamp_source=StampSource.DRIVER
    )


def _note(kind: NoteKind = NoteKind.EVENT) -> NoteItem:
    return NoteItem(kind=kind, name="decode_error", text="a scratch", stamp_ns=5, log_ns=6)


def _messages() -> list[bytes]:
    pcm, exact = codec.encode_audio(_block(exact=False), OFFSET_NS)
    result_item = ResultItem(result=result(), log_ns=5)
    return [
        b"r" + _frame(Picture.RAW), b"c" + _frame(Picture.JPEG), b"c" + _frame(Picture.PNG), b"a" + pcm,
        b"e" + (exact or b""), b"w" + codec.encode_result(result_item, OFFSET_NS),
        b"n" + codec.encode_note(_note(), OFFSET_NS),
    ]  # fmt: skip


_DECODERS: dict[int, Callable[[bytes], object]] = {
    ord("r"): lambda data: codec.decode_frame(data, schemas.RAW_IMAGE.name),
    ord("c"): lambda data: codec.decode_frame(data, schemas.COMPRESSED_IMAGE.name),
    ord("a"): codec.decode_audio,
    ord("e"): lambda data: codec.decode_exact_audio(data, 2),
    ord("w"): codec.decode_result,
    ord("n"): lambda data: codec.decode_note(data, OFFSET_NS),
}


def _message(data: bytes) -> object:
    """The first byte says of what kind."""
    with small_pictures():
        return _DECODERS[data[0]](data[1:]) if data and data[0] in _DECODERS else None


def _read(path: Path) -> object:
    recording = Recording(path)
    return list(recording.items()), recording.damage()


_read_bytes = in_file(_read, ".mcap")
_read_attached = in_file(read_attachments, ".mcap")


@dataclass
class _Head:
    """As much of a `Recording` as its settings are read from."""

    info: RecordingInfo
    path: Path = Path("a.mcap")


def _settings(data: bytes) -> object:
    """Settings and source of a recording are JSON in its head; a zero byte parts them here."""
    config, _, source = data.decode("utf-8", "replace").partition("\0")
    head = cast(
        Recording, _Head(info=RecordingInfo(stream="cam0", config=config, source=source, offset_ns=0))
    )
    return source_info(head), recorded_settings(head)


def _settings_seeds() -> list[bytes]:
    source, config = (
        codec.to_json(SourceInfo(name="scene", notes=("a",))),
        codec.to_json(RunConfig(source="synthetic")),
    )
    return [f"{config}\0{source}".encode(), b'{"source": "webcam", "later": 1}\0{"name": "a"}']


@cache
def _whole() -> bytes:
    """A small recording of everything."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.mcap")
        config = RecordConfig(path=str(path), min_free_mb=0.0)
        info = RecordingInfo(stream="cam0", offset_ns=OFFSET_NS, attachments={"av_calib.yaml": b"a: 1"})
        writer = RecordingWriter(path, info, config)
        image = np.zeros((4, 4, 3), np.uint8)
        writer.write(FrameItem(
            image=image, stamp_ns=5, arrival_ns=6, frame_id="eye", stamp_source=StampSource.DRIVER, log_ns=7
        ))  # fmt: skip
        writer.write(AudioItem(block=_block(exact=False), log_ns=8))
        writer.write(ResultItem(result=result(np.zeros((2, 3), np.uint8)), log_ns=9))
        writer.write(_note())
        writer.close({"superseded": 1})
        return path.read_bytes()


def _recording(data: bytes) -> object:
    """A file as it is; or, behind the letters l, z and p, the content of a chunk, packed or not.

    Behind a t it is a file whose attachments are wanted.
    """
    kind, content = data[:1], data[1:]
    if kind == b"t":
        return _read_attached(content)
    if kind not in (b"l", b"z", b"p"):
        return _read_bytes(data)
    packed = {b"l": lz4.frame.compress, b"z": zstandard.compress, b"p": bytes}[kind](content)
    name = {b"l": b"lz4", b"z": b"zstd", b"p": b""}[kind]
    head = struct.pack("<QQQII", 0, 9, len(content), zlib.crc32(content), len(name)) + name
    return _read_bytes(_head() + _record(CHUNK, head + struct.pack("<Q", len(packed)) + packed))


@cache
def _head() -> bytes:
    """All of the small recording up to its first chunk."""
    whole, at = _whole(), len(MAGIC)
    while whole[at] != CHUNK:
        at += 9 + int.from_bytes(whole[at + 1 : at + 9], "little")
    return whole[:at]


def _record(opcode: int, content: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(content)) + content


def _content() -> bytes:
    """What the first chunk of the small recording holds."""
    whole, at = _whole(), len(_head()) + 9
    name_at = at + 28
    name_bytes = int.from_bytes(whole[name_at : name_at + 4], "little")
    data_at = name_at + 4 + name_bytes + 8
    length = int.from_bytes(whole[data_at - 8 : data_at], "little")
    return lz4.frame.decompress(whole[data_at : data_at + length])


def recordings() -> list[bytes]:
    """Seeds of `recording`."""
    content = _content()
    return [
        _whole(),
        _whole()[:-300],
        _head(),
        b"l" + content,
        b"p" + content,
        b"z" + content[:600],
        b"t" + _head(),
    ]


TARGETS = (
    Target(
        name="recorded-message", decode=_message, seeds=_messages, refuses=DAMAGED, max_bytes=2 * KIB,
        multiple=64, constant_bytes=80 * MIB,
    ),
    Target(
        name="recording", decode=_recording, seeds=recordings, max_bytes=8 * KIB,
        multiple=1200, constant_bytes=16 * MIB,
    ),
    Target(
        name="recorded-settings", decode=_settings, seeds=_settings_seeds, multiple=64, constant_bytes=MIB,
    ),
)  # fmt: skip
