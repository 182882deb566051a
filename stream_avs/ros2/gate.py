"""Between a source and the pipeline: lets data through or not, and keeps pictures for the overlay."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from stream_avs.capture.base import Sink, SourceInfo
from stream_avs.errors import StreamAvsError
from stream_avs.types import AudioBlock, Event, Image, SourceState, StampSource

PICTURES_KEPT = 16


class Gate:
    """A sink in front of another.

    Args:
        keep_pictures: asked at each frame; while True, its picture can be had from `picture`.
    """

    def __init__(self, keep_pictures: Callable[[], bool]) -> None:
        self._keep_pictures = keep_pictures
        self._sink: Sink | None = None
        self._pictures: OrderedDict[int, Image] = OrderedDict()
        self._was_shut = False
        self.open = True
        """False drops what comes in; what comes after does not continue what came before."""

    def wrap(self, sink: Sink, info: SourceInfo) -> Sink:
        """Put this in front of `sink`."""
        self._sink = sink
        return self

    def picture(self, stamp_ns: int) -> Image | None:
        """The picture of the frame with this stamp, if it was kept and is recent."""
        return self._pictures.get(stamp_ns)

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
        if not self._passes(stamp_ns):
            return
        if self._keep_pictures():
            self._pictures[stamp_ns] = np.array(image)
            if len(self._pictures) > PICTURES_KEPT:
                self._pictures.popitem(last=False)
        self._inner.frame(image, stamp_ns, arrival_ns, frame_id=frame_id, stamp_source=stamp_source)

    def audio(self, block: AudioBlock) -> None:
        """See `Sink.audio`."""
        if self._passes(block.stamp_ns):
            self._inner.audio(block)

    def event(self, event: Event, stamp_ns: int, detail: str = "") -> None:
        """See `Sink.event`."""
        self._inner.event(event, stamp_ns, detail)

    def discontinuity(self, reason: str, stamp_ns: int) -> None:
        """See `Sink.discontinuity`."""
        self._inner.discontinuity(reason, stamp_ns)

    def announce(self, state: SourceState, detail: str = "") -> None:
        """See `Sink.announce`."""
        self._inner.announce(state, detail)

    def audio_ended(self) -> None:
        """See `Sink.audio_ended`."""
        self._inner.audio_ended()

    def ended(self, error: StreamAvsError | None = None) -> None:
        """See `Sink.ended`."""
        self._inner.ended(error)

    @property
    def _inner(self) -> Sink:
        assert self._sink is not None
        return self._sink

    def _passes(self, stamp_ns: int) -> bool:
        if not self.open:
            self._was_shut = True
        elif self._was_shut:
            self._was_shut = False
            self._inner.discontinuity("enabled", stamp_ns)
        return self.open
