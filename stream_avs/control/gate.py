"""A tap that can be shut: while it is, nothing captured reaches rings, recordings or pages."""

from __future__ import annotations

import threading

from stream_avs.capture.base import Sink, SourceInfo
from stream_avs.capture.passing_sink import PassingSink
from stream_avs.types import AudioBlock, Event, Image, SourceState, StampSource


class Gate:
    """Give `tap` to a pipeline as the tap nearest to the source. Thread-safe."""

    def __init__(self) -> None:
        self._shut = threading.Event()

    @property
    def paused(self) -> bool:
        """True while nothing passes."""
        return self._shut.is_set()

    def pause(self) -> None:
        """Let nothing pass, from the next frame and block on."""
        self._shut.set()

    def resume(self) -> None:
        """Let everything pass again, after a discontinuity."""
        self._shut.clear()

    def tap(self, sink: Sink, info: SourceInfo) -> Sink:
        """Return a sink that passes on to `sink` while the gate is open."""
        return _GatedSink(sink, self)


class _GatedSink(PassingSink):
    def __init__(self, sink: Sink, gate: Gate) -> None:
        super().__init__(sink)
        self._gate = gate
        self._was_paused = False

    def frame(
        self,
        image: Image,
        stamp_ns: int,
        arrival_ns: int,
        *,
        frame_id: str = "camera",
        stamp_source: StampSource = StampSource.ARRIVAL,
    ) -> None:
        """See `Sink.frame`; while shut, frames are counted as `Event.PAUSED`."""
        if self._gate.paused:
            if not self._was_paused:
                self._was_paused = True
                super().announce(SourceState.WAITING, "paused")
            super().event(Event.PAUSED, stamp_ns)
            return
        if self._was_paused:
            self._was_paused = False
            super().announce(SourceState.LIVE)
            super().discontinuity("resume", stamp_ns)
        super().frame(image, stamp_ns, arrival_ns, frame_id=frame_id, stamp_source=stamp_source)

    def audio(self, block: AudioBlock) -> None:
        """See `Sink.audio`; while shut, and until the first frame after it, sound is left out."""
        if not (self._gate.paused or self._was_paused):
            super().audio(block)
