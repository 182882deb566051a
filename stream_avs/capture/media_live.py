"""A live network stream: its own time stamps mapped to the monotonic clock, reconnecting.

The container's stamps keep picture and sound together however unevenly they arrive (transport
streams hand sound over in bunches of up to 0.7 s); arrivals only say when that time line is now.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stream_avs.capture.address import scheme_of
from stream_avs.capture.base import Sink, SourceInfo
from stream_avs.capture.container import (
    PictureConverter,
    RefusedError,
    import_av,
    open_container,
    pick_tracks,
    source_error,
    to_samples,
)
from stream_avs.capture.live_time import LiveTime, Place
from stream_avs.capture.packets import Arrived, Connection
from stream_avs.capture.reconnect import Reconnect
from stream_avs.clock import MonotonicClock
from stream_avs.config import MediaConfig, ReconnectConfig
from stream_avs.errors import SourceError
from stream_avs.types import AudioBlock, Event, StampSource

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream


ATTEMPT_S = 2.0
"""Least time for an attempt to open a stream again: one begun before the sender is back must end soon."""

MOST_EARLY = 512
"""Blocks of sound kept while the time line settles: those of half a second, and of a backlog."""


REFUSED_S = 10.0
"""Cameras lock out for many minutes who knocks with a wrong password too often, e.g. while they start."""


def attempt_s(address: str, timeout_s: float, opened_s: float) -> float:
    """How long an attempt to open a stream again may take.

    Three times what opening took, for a host that is not there answers nothing. On UDP there is nobody
    to answer: the attempt succeeds as soon as something comes.
    """
    return timeout_s if scheme_of(address) == "udp" else min(timeout_s, max(ATTEMPT_S, 3 * opened_s))


class LiveStream:
    """Relays a live stream into a sink.

    Args:
        address: where it comes from; may hold credentials.
        name: the same without.
        config: network settings.
        reconnect: delays between attempts to open it again.
        frame_id: name of the camera's optical frame, put on every frame.
        clock: the monotonic clock.
        container: the open stream.
        opened_s: how long that took.

    Raises:
        SourceError: the stream has no video track.
    """

    def __init__(
        self,
        address: str,
        name: str,
        config: MediaConfig,
        reconnect: ReconnectConfig,
        *,
        frame_id: str,
        clock: MonotonicClock,
        container: InputContainer,
        opened_s: float,
    ) -> None:
        self._address = address
        self._name = name
        self._config = config
        self._reconnect = reconnect
        self._again = replace(config, timeout_s=attempt_s(address, config.timeout_s, opened_s))
        self._frame_id = frame_id
        self._clock = clock
        self._container: InputContainer | None = container
        try:
            self.info = _describe(name, *pick_tracks(container, name))
        except SourceError:
            container.close()
            raise

    def close(self) -> None:
        """Free the connection; only when `run` is not running."""
        if self._container is not None:
            self._container.close()

    def run(self, sink: Sink, stop: threading.Event) -> None:
        """Relay until `stop` is set; a lost connection is opened again and again."""
        reconnect = Reconnect(self._name, self._reconnect, sink, self._clock)
        container, self._container = self._container, None
        while container is not None:
            finite = container.duration is not None
            error = self._relay(container, sink, stop)
            if stop.is_set():
                return
            if finite and error is None:
                sink.ended()
                return
            reason = source_error(self._address, error, self._config.timeout_s).what if error else "it ended"
            container = self._reopen(reconnect, f"lost {self._name}: {reason}; reconnecting", sink, stop)

    def _reopen(
        self, reconnect: Reconnect, why: str, sink: Sink, stop: threading.Event
    ) -> InputContainer | None:
        """Open again, however long it takes; None when stopped."""
        for _ in reconnect.attempts(why, stop):
            try:
                container = open_container(self._address, self._again, again=True)
            except RefusedError:
                stop.wait(REFUSED_S)
                continue
            except SourceError:
                continue
            if not stop.is_set() and container.streams.video:
                sink.discontinuity("reconnect", reconnect.back())
                return container
            container.close()
        return None

    def _relay(self, container: InputContainer, sink: Sink, stop: threading.Event) -> Exception | None:
        """Hand over what comes until the connection is lost; return the error, None for a clean end."""
        video, audio = pick_tracks(container, self._name)
        # Slices, not frames: frame threads hold back as many pictures as there are threads.
        video.thread_type = "SLICE"
        if audio is None:
            sink.audio_ended()
        relay = _Relay(sink, self._frame_id, self._clock)
        connection = Connection(container, [s for s in (video, audio) if s], self._name, self._clock)
        try:
            for arrived in connection.packets(stop):
                relay.take(arrived)
                for _ in range(connection.take_skipped()):
                    sink.event(Event.SUPERSEDED, arrived.arrival_ns, "decoding is slower than the stream")
        finally:
            connection.close()
        return connection.error


class _Relay:
    """Decodes the packets of one connection, stamps what comes out, and hands it to the sink."""

    def __init__(self, sink: Sink, frame_id: str, clock: MonotonicClock) -> None:
        self._sink = sink
        self._frame_id = frame_id
        self._clock = clock
        self._time = LiveTime(sink)
        self._converter = PictureConverter()
        self._decode_errors = import_av().error.FFmpegError
        self._sound_end_s: float | None = None
        self._early: deque[tuple[Any, float | None, Arrived]] = deque(maxlen=MOST_EARLY)
        self._early_of_ns: int | None = None

    def take(self, arrived: Arrived) -> None:
        packet = arrived.packet
        begin_s, end_s = _span_s(packet, arrived.is_video)
        place = self._time.arrived(arrived.is_video, begin_s, end_s, arrived.arrival_ns)
        if place is Place.MISPLACED:
            return
        try:
            frames = packet.decode()
        except self._decode_errors as error:
            if place is Place.SETTLED:
                # A stream joined in the middle of a group of pictures begins with damage.
                event = Event.DECODE_ERROR if arrived.is_video else Event.AUDIO_OVERRUN
                self._sink.event(event, arrived.arrival_ns, f"damaged packet: {error.strerror}")
            return
        for frame in frames:
            media_s = self._media_s(frame, arrived.is_video)
            if place is Place.SETTLED:
                while self._early:
                    self._hand_over(*self._early.popleft())
                self._hand_over(frame, media_s, arrived)
            elif not arrived.is_video:
                self._keep(frame, media_s, arrived)

    def _keep(self, frame: Any, media_s: float | None, arrived: Arrived) -> None:
        """Keep sound until its time is known: the first picture needs what was heard before it."""
        if self._early_of_ns != self._time.begun_ns:
            self._early.clear()  # of the time line before a jump
            self._early_of_ns = self._time.begun_ns
        self._early.append((frame, media_s, arrived))

    def _media_s(self, frame: Any, is_video: bool) -> float | None:
        """Media time of a decoded frame; None where it has none."""
        media_s = None if frame.pts is None else float(frame.pts * frame.time_base)
        if is_video:
            return media_s
        # RTP packets hold many blocks of AAC, and only the first of them has a time.
        media_s = self._sound_end_s if media_s is None else media_s
        if media_s is not None:
            self._sound_end_s = media_s + frame.samples / frame.sample_rate
        return media_s

    def _hand_over(self, frame: Any, media_s: float | None, arrived: Arrived) -> None:
        stamp_ns = None if media_s is None else self._time.stamp_ns(media_s)
        damage = "without a usable time" if stamp_ns is None else "damaged" if frame.is_corrupt else ""
        if damage or stamp_ns is None:
            event = Event.DECODE_ERROR if arrived.is_video else Event.AUDIO_OVERRUN
            self._sink.event(event, arrived.arrival_ns, damage)
        elif arrived.is_video:
            self._sink.frame(
                self._converter.convert(frame),
                stamp_ns,
                arrived.arrival_ns,
                frame_id=self._frame_id,
                stamp_source=StampSource.CONTAINER,
            )
        else:
            self._sink.audio(
                AudioBlock(
                    samples=to_samples(frame),
                    stamp_ns=stamp_ns,
                    sample_rate_hz=frame.sample_rate,
                    stamp_source=StampSource.CONTAINER,
                )
            )


def _span_s(packet: Any, is_video: bool) -> tuple[float | None, float | None]:
    """Media time of a packet's begin, and of the moment before which it cannot have been sent."""
    if packet.pts is None:
        return None, None
    begin_s = float(packet.pts * packet.time_base)
    length_s = 0.0 if is_video else float((packet.duration or 0) * packet.time_base)
    return begin_s, begin_s + length_s


def _describe(name: str, video: VideoStream, audio: AudioStream | None) -> SourceInfo:
    notes = () if audio else ("no sound in this stream: nothing will be marked as sounding",)
    return SourceInfo(
        name=name,
        width_px=video.codec_context.width,
        height_px=video.codec_context.height,
        fps=float(video.average_rate or 0),
        sample_rate_hz=audio.codec_context.sample_rate if audio else 0,
        channels=audio.codec_context.channels if audio else 0,
        notes=notes,
    )
