"""A sink that passes everything on; whoever needs to see or stop some of it overrides that part."""

from __future__ import annotations

from stream_avs.capture.base import Sink
from stream_avs.errors import StreamAvsError
from stream_avs.types import AudioBlock, Event, Image, SourceState, StampSource


class PassingSink:
    """Implements `Sink` by handing every call to another one.

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

    def announce(self, state: SourceState, detail: str = "") -> None:
        """See `Sink.announce`."""
        self._sink.announce(state, detail)

    def audio_ended(self) -> None:
        """See `Sink.audio_ended`."""
        self._sink.audio_ended()

    def ended(self, error: StreamAvsError | None = None) -> None:
        """See `Sink.ended`."""
        self._sink.ended(error)
