"""The tracks of a recording as streams of stamped items, damage included."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stream_avs.capture.container import PictureConverter, connection_errors, import_av, to_ns, to_samples
from stream_avs.capture.timeline import Splices, TrackTime
from stream_avs.types import NS_PER_S, Event, Image, Samples

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

PIECE_S = 0.025
"""Longer blocks are cut, so that sound is handed over about as finely as a microphone would."""

DEFAULT_FPS = 25.0
"""For recordings that do not say, such as bare H.264; what FFmpeg assumes too."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Picture:
    """A decoded picture; times in ns on the line both tracks share."""

    start_ns: int
    end_ns: int
    image: Image


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sound:
    """Consecutive samples, float32 [n, channels]."""

    start_ns: int
    end_ns: int
    samples: Samples
    rate_hz: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Damage:
    """A packet that could not be decoded, at about this time."""

    start_ns: int
    end_ns: int
    event: Event
    detail: str


Item = Picture | Sound | Damage


def read_pictures(container: InputContainer, stream: VideoStream, splices: Splices) -> Iterator[Item]:
    """Yield the pictures of a track; a damaged packet or picture yields `Damage` and goes on.

    Raises:
        OSError, av.error.ExitError: the file or connection itself failed.
    """
    time = TrackTime(splices)
    converter = PictureConverter()
    period_ns = round(NS_PER_S / float(stream.average_rate or DEFAULT_FPS))
    stamped = stream.start_time is not None
    next_ns = 0
    for frame in _decoded(container, stream):
        damage = _damage(frame, stamped)
        if damage:
            yield Damage(start_ns=next_ns, end_ns=next_ns, event=Event.DECODE_ERROR, detail=damage)
            continue
        media_ns = next_ns if frame.pts is None else to_ns(frame.pts, frame.time_base)
        start_ns = time.place(media_ns, period_ns)
        next_ns = start_ns + period_ns
        yield Picture(start_ns=start_ns, end_ns=next_ns, image=converter.convert(frame))


def _damage(frame: VideoFrame | str, stamped: bool) -> str:
    """What makes a picture unfit to be used; "" for nothing."""
    if isinstance(frame, str):
        return frame
    if frame.is_corrupt:
        return "damaged picture"
    return "picture without a time" if frame.pts is None and stamped else ""


def read_sounds(container: InputContainer, stream: AudioStream, splices: Splices) -> Iterator[Item]:
    """Yield the sound of a track in pieces of at most `PIECE_S`; otherwise like `read_pictures`."""
    time = TrackTime(splices)
    next_ns = 0
    for frame in _decoded(container, stream):
        if isinstance(frame, str):
            yield Damage(start_ns=next_ns, end_ns=next_ns, event=Event.AUDIO_OVERRUN, detail=frame)
            continue
        rate_hz = frame.sample_rate
        length_ns = round(frame.samples * NS_PER_S / rate_hz)
        media_ns = next_ns if frame.pts is None else to_ns(frame.pts, frame.time_base)
        start_ns = time.place(media_ns, length_ns)
        next_ns = start_ns + length_ns
        yield from _pieces(to_samples(frame), start_ns, rate_hz)


def _pieces(samples: Samples, start_ns: int, rate_hz: int) -> Iterator[Sound]:
    step = max(1, int(PIECE_S * rate_hz))
    for begin in range(0, len(samples), step):
        piece = samples[begin : begin + step]
        yield Sound(
            start_ns=start_ns + round(begin * NS_PER_S / rate_hz),
            end_ns=start_ns + round((begin + len(piece)) * NS_PER_S / rate_hz),
            samples=piece,
            rate_hz=rate_hz,
        )


def until_picture(items: Iterator[Item]) -> tuple[list[Item], Picture | None]:
    """Take items up to the first picture; return what came before it, and the picture if any."""
    before: list[Item] = []
    for item in items:
        if isinstance(item, Picture):
            return before, item
        before.append(item)
    return before, None


def until_sound(items: Iterator[Item]) -> tuple[list[Item], Sound | None]:
    """Take items up to the first sound; return what came before it, and the sound if any."""
    before: list[Item] = []
    for item in items:
        if isinstance(item, Sound):
            return before, item
        before.append(item)
    return before, None


def _decoded(container: InputContainer, stream: VideoStream | AudioStream) -> Iterator[Any]:
    """Yield decoded frames, and a text in place of each packet that is damaged."""
    errors = import_av().error
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except connection_errors():
            raise
        except errors.FFmpegError as error:
            yield f"file damaged: {error.strerror}"
            packet = None
        if packet is None:
            return
        try:
            yield from packet.decode()
        except errors.FFmpegError as error:
            yield f"damaged packet: {error.strerror}"
