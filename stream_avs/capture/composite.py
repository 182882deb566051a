"""A camera and a microphone as one source."""

from __future__ import annotations

import threading
from dataclasses import replace

from stream_avs.capture.base import Sink, Source, SourceInfo
from stream_avs.capture.passing_sink import PassingSink
from stream_avs.clock import MonotonicClock, monotonic_ns
from stream_avs.errors import SourceLostError, StreamAvsError
from stream_avs.types import AudioBlock, Image, SourceState, StampSource


class Composite:
    """Joins a source of pictures and a source of sound.

    - Either failing at `open` fails the whole: whoever asks for a microphone must not be left to
      wonder why nothing sounds.
    - Later, the end of the sound ends the sound only: pictures go on, and masks say "no audio".
      If it was an error, it is told as a discontinuity with the error's text.
      One that was waited for as long as configured ends the source.
    - A lost microphone leaves the source silent; the state of the pictures is that of the source.
    - The end of the pictures ends the source, with the error if there was one: without pictures
      there is nothing to segment.

    Args:
        video: its audio, if any, is ignored.
        audio: its pictures, if any, are ignored.
        clock: the monotonic clock.
    """

    def __init__(self, video: Source, audio: Source, *, clock: MonotonicClock = monotonic_ns) -> None:
        self._video = video
        self._audio = audio
        self._clock = clock

    def open(self) -> SourceInfo:
        """Open both; see `Source.open`."""
        video = self._video.open()
        try:
            audio = self._audio.open()
        except BaseException:
            self._video.stop()
            raise
        return replace(
            video,
            name=f"{video.name} and {audio.name}",
            sample_rate_hz=audio.sample_rate_hz,
            channels=audio.channels,
            live=video.live or audio.live,
            notes=video.notes + audio.notes,
        )

    def start(self, sink: Sink) -> None:
        """Start both; see `Source.start`."""
        # Sound first, so that the first frame already has some.
        self._audio.start(_AudioSide(sink, self._clock))
        try:
            self._video.start(_VideoSide(sink))
        except BaseException:
            self._audio.stop()
            raise

    def stop(self) -> None:
        """Stop both at the same time; see `Source.stop`."""
        audio = threading.Thread(target=self._audio.stop)
        audio.start()
        self._video.stop()
        audio.join()


class _VideoSide(PassingSink):
    """Lets pictures through; sound comes from the other side."""

    def audio(self, block: AudioBlock) -> None:
        """Not from this side."""

    def announce(self, state: SourceState, detail: str = "") -> None:
        """Of its pictures only."""
        if state is not SourceState.SILENT:
            super().announce(state, detail)

    def audio_ended(self) -> None:
        """Not from this side."""


class _AudioSide(PassingSink):
    """Lets sound through; its end ends the sound only."""

    def __init__(self, sink: Sink, clock: MonotonicClock) -> None:
        super().__init__(sink)
        self._clock = clock

    def frame(
        self,
        image: Image,
        stamp_ns: int,
        arrival_ns: int,
        *,
        frame_id: str = "camera",
        stamp_source: StampSource = StampSource.ARRIVAL,
    ) -> None:
        """Not from this side."""

    def announce(self, state: SourceState, detail: str = "") -> None:
        """Without its microphone the source is silent, until sound comes again."""
        if state is SourceState.RECONNECTING:
            super().announce(SourceState.SILENT, detail)

    def ended(self, error: StreamAvsError | None = None) -> None:
        """The pictures go on without sound, unless that was to end the source."""
        if isinstance(error, SourceLostError):
            super().ended(error)
            return
        if error is not None:
            self._sink.discontinuity(f"sound ended: {error}", self._clock())
        self._sink.audio_ended()
