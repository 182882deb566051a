"""Several taps as one, and the sink at the end where no network runs."""

from __future__ import annotations

from collections.abc import Callable

from stream_avs.capture.base import Sink, SourceInfo
from stream_avs.errors import StreamAvsError
from stream_avs.types import AudioBlock, Event, Image, SourceState, StampSource

Tap = Callable[[Sink, SourceInfo], Sink]


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

    def announce(self, state: SourceState, detail: str = "") -> None:
        """See `Sink.announce`."""

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
