"""Items to messages and back. Pure, apart from the picture encoders of OpenCV.

Unix time = monotonic time + `offset_ns`, one number for a whole recording; so stamps survive to the
nanosecond.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from stream_avs.errors import missing_package
from stream_avs.picture_input import decode_picture
from stream_avs.publish import wire
from stream_avs.publish.palette import mask_png
from stream_avs.record import schemas
from stream_avs.record.cdr import Bytes, CdrReader, CdrWriter
from stream_avs.record.config import Picture
from stream_avs.record.items import FrameItem, NoteItem, NoteKind, ResultItem
from stream_avs.record.schemas import MessageType
from stream_avs.types import AudioBlock, Image, MaskResult, Samples

PCM_SCALE = 32768.0
MAX_CHANNELS = 64
MAX_RATE_HZ = 1_000_000
PNG_LEVEL = 1


def picture_type(picture: Picture) -> MessageType:
    """Message type of pictures kept that way."""
    return schemas.RAW_IMAGE if picture is Picture.RAW else schemas.COMPRESSED_IMAGE


def encode_frame(item: FrameItem, offset_ns: int, picture: Picture, quality: int) -> bytes:
    """Write a frame's picture, stamp and frame_id."""
    height_px, width_px = item.image.shape[:2]
    out = CdrWriter()
    out.time(item.stamp_ns + offset_ns)
    out.text(item.frame_id)
    if picture is Picture.RAW:
        out.number("I", width_px)
        out.number("I", height_px)
        out.text("rgb8")
        out.number("I", 3 * width_px)
        out.data(np.ascontiguousarray(item.image).data.cast("B"))
    else:
        out.data(compress_picture(item.image, picture, quality))
        out.text(picture.value)
    return out.done()


def decode_frame(message: Bytes, name: str) -> tuple[Image, int, str]:
    """Read a picture of message type `name`: RGB image, unix stamp in ns, frame_id.

    Raw pictures are views into the message; for others see `decode_picture`.

    Raises:
        ValueError: damaged, or of a kind this does not read.
    """
    data = CdrReader(message)
    stamp_ns, frame_id = data.time(), data.text()
    if name == schemas.COMPRESSED_IMAGE.name:
        return decode_picture(data.data()), stamp_ns, frame_id
    width_px, height_px, encoding, step = data.number("I"), data.number("I"), data.text(), data.number("I")
    pixels = data.data()
    if (
        encoding != "rgb8"
        or not width_px * height_px
        or step != 3 * width_px
        or len(pixels) != step * height_px
    ):
        raise ValueError(f"picture is {encoding} {width_px}x{height_px} in {len(pixels)} bytes")
    return np.frombuffer(pixels, np.uint8).reshape(height_px, width_px, 3), stamp_ns, frame_id


def encode_audio(block: AudioBlock, offset_ns: int) -> tuple[bytes, bytes | None]:
    """Write samples as 16-bit PCM, and exactly in a second message where that is not the same."""
    samples = np.ascontiguousarray(block.samples, "<f4")
    # Foxglove plays 16-bit PCM only; what is not finite is silent there.
    with np.errstate(over="ignore"):
        scaled = np.nan_to_num(samples * np.float32(PCM_SCALE), nan=0.0)
    pcm = np.clip(np.rint(scaled), -32768, 32767).astype("<i2")
    out = CdrWriter()
    out.time(block.stamp_ns + offset_ns)
    out.data(pcm.tobytes())
    out.text("pcm-s16")
    out.number("I", block.sample_rate_hz)
    out.number("I", samples.shape[1])
    if np.array_equal(_from_pcm(pcm).view("<u4"), samples.view("<u4")):
        return out.done(), None
    exact = CdrWriter()
    exact.time(block.stamp_ns + offset_ns)
    exact.data(samples.tobytes())
    return out.done(), exact.done()


def decode_audio(message: Bytes) -> tuple[Samples, int, int]:
    """Read 16-bit PCM: float32 [n, channels], unix stamp of the first sample in ns, rate in Hz.

    Allocates at most 5 times the message.

    Raises:
        ValueError: damaged, or of a kind this does not read.
    """
    data = CdrReader(message)
    stamp_ns, raw, kind = data.time(), data.data(), data.text()
    rate_hz, channels = data.number("I"), data.number("I")
    if (
        kind != "pcm-s16"
        or not 1 <= channels <= MAX_CHANNELS
        or not 1 <= rate_hz <= MAX_RATE_HZ
        or len(raw) % (2 * channels)
    ):
        raise ValueError(f"sound is {kind!r}, {len(raw)} bytes of {channels} channels at {rate_hz} Hz")
    return _from_pcm(np.frombuffer(raw, "<i2").reshape(-1, channels)), stamp_ns, rate_hz


def decode_exact_audio(message: Bytes, channels: int) -> tuple[Samples, int]:
    """Read exact samples: float32 [n, channels], unix stamp in ns.

    Raises:
        ValueError: damaged.
    """
    data = CdrReader(message)
    stamp_ns = data.time()
    return np.frombuffer(data.data(), "<f4").astype(np.float32).reshape(-1, channels), stamp_ns


def encode_result(item: ResultItem, offset_ns: int) -> bytes:
    """Write a result; `wire` is complete, the other fields are for people and plots."""
    result = item.result
    out = CdrWriter()
    out.time(result.stamp_ns + offset_ns)
    out.text(result.state.value)
    out.text(", ".join(s.name for s in result.sounding))
    out.number("f", result.sounding_score)
    out.number("f", result.age_ms)
    out.number("f", result.audio_level_dbfs)
    out.number("I", min(result.dropped, 2**32 - 1))
    out.data(wire.to_packed(wire.encode(result)))
    return out.done()


def decode_result(message: Bytes) -> MaskResult:
    """Read a result.

    Raises:
        ValueError, WireError: damaged.
    """
    data = CdrReader(message)
    data.time()
    data.text()
    data.text()
    for _ in range(3):
        data.real("f")
    data.number("I")
    return wire.decode(wire.from_packed(data.data()))


def encode_mask(item: ResultItem, offset_ns: int) -> bytes:
    """Write the mask as a PNG in label colours whose pixels are the class ids, for viewers."""
    out = CdrWriter()
    out.time(item.result.stamp_ns + offset_ns)
    out.text(item.result.frame_id)
    out.data(mask_png(item.result.mask))
    out.text("png")
    return out.done()


def encode_note(note: NoteItem, offset_ns: int) -> bytes:
    """Write a note."""
    out = CdrWriter()
    out.time(note.log_ns + offset_ns)
    out.number("q", note.stamp_ns)
    for text in (note.kind.value, note.name, note.text):
        out.text(text)
    return out.done()


def decode_note(message: Bytes, offset_ns: int) -> NoteItem | None:
    """Read a note; None if it is of a kind a later minor version has added.

    Raises:
        ValueError: damaged.
    """
    data = CdrReader(message)
    log_ns, stamp_ns = data.time() - offset_ns, data.number("q")
    kind, name, text = data.text(), data.text(), data.text()
    if kind not in tuple(NoteKind):
        return None
    return NoteItem(kind=NoteKind(kind), name=name, text=text, stamp_ns=stamp_ns, log_ns=log_ns)


def to_json(value: Any) -> str:
    """Settings and counts as JSON; enums by value, paths as text."""
    return msgspec.json.encode(value, enc_hook=str).decode()


def _from_pcm(pcm: Any) -> Samples:
    samples: Samples = pcm.astype(np.float32) / np.float32(PCM_SCALE)
    return samples


def _opencv() -> Any:
    try:
        import cv2
    except ImportError:
        raise missing_package("OpenCV (cv2), which packs pictures,", "live") from None
    return cv2


def compress_picture(image: Image, picture: Picture, quality: int) -> bytes:
    """Pack an RGB image as PNG or JPEG.

    Raises:
        MissingPackageError: OpenCV is not installed.
        ValueError: the image cannot be packed.
    """
    cv2 = _opencv()
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality]
    if picture is Picture.PNG:
        settings = [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL]
    done, data = cv2.imencode(f".{picture.value}", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), settings)
    if not done:
        raise ValueError(f"picture {image.shape} cannot be packed as {picture.value}")
    return bytes(data)
