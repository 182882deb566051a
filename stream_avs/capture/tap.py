"""Sinks that look on: what a source hands over passes through them unchanged."""

from __future__ import annotations

from collections.abc import Callable

from stream_avs.capture.base import Sink, SourceInfo
from stream_avs.errors import StreamAvsError
from stream_avs.types import AudioBlock, Event, Image, StampSource

Tap = Callable[[Sink, SourceInfo], Sink]


class PassingSink:
    """Passes everything on; a tap overrides what it wants to see and calls `super()`.

    Args:
        sink: gets everything.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def frame(
        self,
        image: Image,
        stamp_ns: int,
        arrival_ns: int,
        *,
        frame_id: str = "camera",
        stamp_source: StampSource = StampSource.ARRIVAL,
    ) -> None:
        """See `Sink.frame`."""
        self._sink.frame(image, stamp_ns, arrival_ns, frame_id=frame_id, stamp_source=stamp_source)

    def audio(self, block: AudioBlock) -> None:
        """See `Sink.audio`."""
        self._sink.audio(block)

    def event(self, event: Event, stamp_ns: int, detail: str = "") -> None:
        """See `Sink.event`."""
        self._sink.event(event, stamp_ns, detail)

    def discontinuity(self, reason: str, stamp_ns: int) -> None:
        """See `Sink.discontinuity`."""
        self._sink.discontinuity(reason, stamp_ns)

    def audio_ended(self) -> None:
        """See `Sink.audio_ended`."""
        self._sink.audio_ended()

    def ended(self, error: StreamAvsError | None = None) -> None:
        """See `Sink.ended`."""
        self._sink.ended(error)


class NoSink:
    """Takes everything and does nothing: the end of a chain of taps where no network runs."""

    def frame(
        self,
        image: Image,
        stamp_ns: int,
        arrival_ns: int,
        *,
        frame_id: str = "camera",
        stamp_source: StampSource = StampSource.ARRIVAL,
    ) -> None:
        """See `Sink.frame`."""

    def audio(self, block: AudioBlock) -> None:
        """See `Sink.audio`."""

    def event(self, event: Event, stamp_ns: int, detail: str = "") -> None:
        """See `Sink.event`."""

    def discontinuity(self, reason: str, stamp_ns: int) -> None:
        """See `Sink.discontinuity`."""

    def audio_ended(self) -> None:
        """See `Sink.audio_ended`."""

    def ended(self, error: StreamAvsError | None = None) -> None:
        """See `Sink.ended`."""


def chain(*taps: Tap | None) -> Tap | None:
    """Make one tap of several, the first being nearest to the source; None if there is none."""
    present = [tap for tap in taps if tap is not None]
    if not present:
        return None

    def all_of_them(sink: Sink, info: SourceInfo) -> Sink:
        for tap in reversed(present):
            sink = tap(sink, info)
        return sink

    return all_of_them
