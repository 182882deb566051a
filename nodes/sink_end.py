"""A sink that notes the end of its source while passing everything on."""

from __future__ import annotations

import threading

from stream_avs.capture.base import Sink
from stream_avs.capture.passing_sink import PassingSink
from stream_avs.errors import StreamAvsError
from stream_avs.types import AudioBlock, Image, StampSource


class EndingSink(PassingSink):
    """Passes on to `sink`; counts, and sets `ended_event` when the source has ended."""

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self.ended_event = threading.Event()
        self.error: StreamAvsError | None = None
        self.frames = self.blocks = 0

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
        self.frames += 1
        super().frame(image, stamp_ns, arrival_ns, frame_id=frame_id, stamp_source=stamp_source)

    def audio(self, block: AudioBlock) -> None:
        """See `Sink.audio`."""
        self.blocks += 1
        super().audio(block)

    def ended(self, error: StreamAvsError | None = None) -> None:
        """See `Sink.ended`."""
        self.error = error
        super().ended(error)
        self.ended_event.set()
