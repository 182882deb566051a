"""What every source offers, and what it hands its data to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from stream_avs.errors import StreamAvsError
from stream_avs.types import AudioBlock, Event, Image, SourceState, StampSource


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceInfo:
    """What a source turned out to be once opened.

    Attributes:
        name: what a person would call it, e.g. "camera 0 (HD Webcam)"; never holds credentials.
        width_px, height_px, fps: picture format; 0 where there is no picture or it is not known yet.
        sample_rate_hz, channels: audio format; 0 where there is no audio.
        live: True if data comes at its own pace and cannot be asked to wait.
        duration_s: length of a file; 0 when endless or unknown.
        notes: one-line remarks a user should see, e.g. "stamps are arrival times".
    """

    name: str
    width_px: int = 0
    height_px: int = 0
    fps: float = 0.0
    sample_rate_hz: int = 0
    channels: int = 0
    live: bool = True
    duration_s: float = 0.0
    notes: tuple[str, ...] = ()


class Sink(Protocol):
    """Where a source puts what it captures. All methods may be called from any thread.

    For live sources no method blocks. For a file played under the `every` policy, `frame` blocks
    until there is room; it returns at once when the pipeline is stopping.
    """

    def frame(
        self,
        image: Image,
        stamp_ns: int,
        arrival_ns: int,
        *,
        frame_id: str = "camera",
        stamp_source: StampSource = StampSource.ARRIVAL,
    ) -> None:
        """Take one RGB image, uint8 [H, W, 3]; it is copied before this returns."""

    def audio(self, block: AudioBlock) -> None:
        """Take consecutive samples; they are copied before this returns."""

    def event(self, event: Event, stamp_ns: int, detail: str = "") -> None:
        """Count something out of the ordinary."""

    def discontinuity(self, reason: str, stamp_ns: int) -> None:
        """What comes next does not continue what came before (seek, loop, reconnect)."""

    def announce(self, state: SourceState, detail: str = "") -> None:
        """Learn how the source is: RECONNECTING when it is lost, LIVE when it is open again, SILENT
        when only its sound is lost; `detail` says why. The rest is seen from what comes or ends."""

    def audio_ended(self) -> None:
        """No more audio will come, or there is none; frames need not wait for it."""

    def ended(self, error: StreamAvsError | None = None) -> None:
        """Nothing more will come from any track; `error` says why if that was not intended."""


class Source(Protocol):
    """A camera, a microphone, a file or stream, a synthetic scene."""

    def open(self) -> SourceInfo:
        """Open the device or file and say what it is.

        Raises:
            SourceError: it cannot be opened; the message names it and the next step.
        """

    def start(self, sink: Sink) -> None:
        """Begin to capture into `sink` on threads of its own. Call after `open`."""

    def stop(self) -> None:
        """End capture and free the device, within one second; may be called twice."""
