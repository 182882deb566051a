"""ROS topics as a source: messages in, frames and sound out. Knows no ROS library.

Whoever holds the subscriptions hands each message over, from one thread; see `rcl/` and `dds/`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from stream_avs.capture.base import Sink, SourceInfo
from stream_avs.clock import MonotonicClock, monotonic_ns
from stream_avs.errors import StreamAvsError, WireError
from stream_avs.ros2 import audio_input
from stream_avs.ros2.diagnostics import InputHealth
from stream_avs.ros2.fields import Header, header_of
from stream_avs.ros2.image_input import compressed_to_rgb, image_to_rgb
from stream_avs.ros2.ros_clock import RosClock
from stream_avs.types import NS_PER_S, AudioBlock, Event, Image, StampSource

HEADERS_KEPT = 512


class HeaderBook:
    """The headers of recent source images by converted stamp, so that a mask carries its image's own."""

    def __init__(self) -> None:
        self._headers: OrderedDict[int, Header] = OrderedDict()

    def note(self, stamp_ns: int, header: Header) -> None:
        """Remember the header of the frame with this monotonic stamp."""
        self._headers[stamp_ns] = header
        if len(self._headers) > HEADERS_KEPT:
            self._headers.popitem(last=False)

    def find(self, stamp_ns: int) -> Header | None:
        """The header of the frame with this monotonic stamp, if it is remembered."""
        return self._headers.get(stamp_ns)


class TopicSource:
    """A source fed with messages; the masks' headers are found in `headers`.

    A stamp of zero, as some drivers send, counts as the time of arrival. A message that cannot be read
    is counted and told by `health`; it never ends the stream.

    Args:
        ros_clock: converts stamps.
        ros_now_ns: returns ROS time, 0 while it is unknown.
        clock: the monotonic clock.
    """

    def __init__(
        self, ros_clock: RosClock, ros_now_ns: Callable[[], int], *, clock: MonotonicClock = monotonic_ns
    ) -> None:
        self._ros_clock = ros_clock
        self._ros_now_ns = ros_now_ns
        self._clock = clock
        self._sink: Sink | None = None
        self._format: audio_input.AudioFormat | None = None
        self._frames = self._blocks = 0
        self._frame_ns: int | None = None
        self._audio_ns: int | None = None
        self._last_error = ""
        self.headers = HeaderBook()
        self.camera_info: Any = None
        """The latest CameraInfo message, for whoever scales it."""

    def open(self) -> SourceInfo:
        """See `Source.open`; never fails."""
        return SourceInfo(name="ROS topics", live=True)

    def start(self, sink: Sink) -> None:
        """See `Source.start`; messages count from here on."""
        self._sink = sink

    def stop(self) -> None:
        """See `Source.stop`; later messages are ignored."""
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.ended()

    def image(self, message: Any) -> None:
        """Take a `sensor_msgs/Image`."""
        self._take_image(message, image_to_rgb)

    def compressed_image(self, message: Any) -> None:
        """Take a `sensor_msgs/CompressedImage`."""
        self._take_image(message, compressed_to_rgb)

    def audio(self, message: Any) -> None:
        """Take an audio message of any known package."""
        sink = self._sink
        if sink is None:
            return
        arrival_ns = self._clock()
        if self._format is None and audio_input.needs_info(message):
            self._last_error = "sound came before its format; is audio_info remapped?"
            return
        try:
            sound = audio_input.sound_of(message, self._format)
        except WireError as error:
            self._note_error(sink, error, Event.AUDIO_GAP, arrival_ns)
            return
        self._follow_clock(sink)
        span_ns = len(sound.samples) * NS_PER_S // sound.sample_rate_hz
        stamp_ns, stamp_source = self._stamp(header_of(message).stamp_ns, arrival_ns - span_ns)
        self._blocks += 1
        self._audio_ns = arrival_ns
        sink.audio(
            AudioBlock(
                samples=sound.samples, stamp_ns=stamp_ns, sample_rate_hz=sound.sample_rate_hz,
                stamp_source=stamp_source,
            )
        )  # fmt: skip

    def audio_info(self, message: Any) -> None:
        """Take ros-drivers' `AudioInfo`."""
        try:
            self._format = audio_input.format_of(message)
        except WireError as error:
            self._last_error = str(error)

    def health(self, incompatible: tuple[str, ...] = ()) -> InputHealth:
        """What has come in; a message's error is told once."""
        now_ns = self._clock()
        error, self._last_error = self._last_error, ""
        return InputHealth(
            frames=self._frames,
            audio_blocks=self._blocks,
            frame_age_s=_age_s(now_ns, self._frame_ns),
            audio_age_s=_age_s(now_ns, self._audio_ns),
            last_error=error,
            incompatible=incompatible,
        )

    def _take_image(self, message: Any, convert: Callable[[Any], Image]) -> None:
        sink = self._sink
        if sink is None:
            return
        arrival_ns = self._clock()
        try:
            image = convert(message)
        except StreamAvsError as error:
            self._note_error(sink, error, Event.DECODE_ERROR, arrival_ns)
            return
        self._follow_clock(sink)
        header = header_of(message)
        stamp_ns, stamp_source = self._stamp(header.stamp_ns, arrival_ns)
        self._frames += 1
        self._frame_ns = arrival_ns
        self.headers.note(stamp_ns, header)
        sink.frame(image, stamp_ns, arrival_ns, frame_id=header.frame_id, stamp_source=stamp_source)

    def _follow_clock(self, sink: Sink) -> None:
        if self._ros_clock.observe(self._ros_now_ns()):
            sink.discontinuity("clock", self._clock())

    def _stamp(self, ros_ns: int, arrival_ns: int) -> tuple[int, StampSource]:
        if ros_ns <= 0 or not self._ros_clock.ready:
            return arrival_ns, StampSource.ARRIVAL
        return self._ros_clock.to_monotonic_ns(ros_ns), StampSource.DRIVER

    def _note_error(self, sink: Sink, error: StreamAvsError, event: Event, stamp_ns: int) -> None:
        self._last_error = str(error)
        sink.event(event, stamp_ns, str(error))


def _age_s(now_ns: int, then_ns: int | None) -> float:
    return float("inf") if then_ns is None else (now_ns - then_ns) / NS_PER_S
