"""The capture of the ROS nodes: what a source captures leaves as messages. Knows no ROS library."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from stream_avs.calibration.camera_info import CameraInfo
from stream_avs.errors import StreamAvsError
from stream_avs.ledger import Ledger
from stream_avs.ros2.audio_fields import AudioKind, audio_fields, audio_info_fields
from stream_avs.ros2.camera_info import camera_info_fields
from stream_avs.ros2.fields import Fields, Header
from stream_avs.ros2.image_fields import compressed_fields, rgb
from stream_avs.ros2.ros_clock import RosClock
from stream_avs.types import AudioBlock, Event, Image, SourceState, StampSource

IMAGE = "image_raw"
IMAGE_JPEG = "image_raw/compressed"
CAMERA_INFO = "camera_info"
AUDIO = "audio"
AUDIO_INFO = "audio_info"

JPEG_QUALITY = 90
JPEG_FORMAT = "rgb8; jpeg compressed bgr8"


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptureOutput:
    """What is published.

    Attributes:
        audio_kind: whose audio messages; None sends no sound.
        microphone_frame_id: frame of the sound.
        calibration: of the camera, None sends no camera_info.
    """

    audio_kind: AudioKind | None
    microphone_frame_id: str
    calibration: CameraInfo | None = None


class TopicSink:
    """Implements `capture.base.Sink`: frames and sound to messages, stamped with their capture time.

    Args:
        output: what is published.
        ros_clock, ros_now_ns: monotonic to ROS time.
        emit: publishes a message; may be called from several threads, though never twice at once.
        wanted: whether anybody subscribes to a topic.
        ledger: counts events.
    """

    def __init__(
        self,
        output: CaptureOutput,
        *,
        ros_clock: RosClock,
        ros_now_ns: Callable[[], int],
        emit: Callable[[str, Fields], None],
        wanted: Callable[[str], bool],
        ledger: Ledger,
    ) -> None:
        self._output = output
        self._ros_clock = ros_clock
        self._ros_now_ns = ros_now_ns
        self._emit = emit
        self._wanted = wanted
        self._ledger = ledger
        self._lock = threading.Lock()
        self._audio_format: tuple[int, int] | None = None
        self.frames = self.blocks = 0
        self.finished = threading.Event()
        self.error: StreamAvsError | None = None
        """Why the source ended, None if that was intended."""

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
        with self._lock:
            header = self._header(stamp_ns, frame_id)
            self.frames += 1
            if self._output.calibration is not None and self._wanted(CAMERA_INFO):
                self._emit(CAMERA_INFO, camera_info_fields(self._output.calibration, header))
            if self._wanted(IMAGE):
                self._emit(IMAGE, rgb(image, header))
            if self._wanted(IMAGE_JPEG):
                self._emit(IMAGE_JPEG, compressed_fields(_jpeg(image), JPEG_FORMAT, header))

    def audio(self, block: AudioBlock) -> None:
        """See `Sink.audio`."""
        kind = self._output.audio_kind
        if kind is None:
            return
        with self._lock:
            self.blocks += 1
            audio_format = (block.sample_rate_hz, block.samples.shape[1])
            if kind is AudioKind.ROS_DRIVERS and audio_format != self._audio_format:
                self._emit(AUDIO_INFO, audio_info_fields(*audio_format))
            self._audio_format = audio_format
            if self._wanted(AUDIO):
                header = self._header(block.stamp_ns, self._output.microphone_frame_id)
                self._emit(AUDIO, audio_fields(kind, block.samples, block.sample_rate_hz, header))

    def event(self, event: Event, stamp_ns: int, detail: str = "") -> None:
        """See `Sink.event`."""
        self._ledger.record(event, stamp_ns, detail)

    def discontinuity(self, reason: str, stamp_ns: int) -> None:
        """See `Sink.discontinuity`; readers see it from the stamps."""
        self._ledger.record(Event.DISCONTINUITY, stamp_ns, reason)

    def announce(self, state: SourceState, detail: str = "") -> None:
        """See `Sink.announce`; readers see it from what comes."""

    def audio_ended(self) -> None:
        """See `Sink.audio_ended`."""

    def ended(self, error: StreamAvsError | None = None) -> None:
        """See `Sink.ended`."""
        self.error = error
        self.finished.set()

    def _header(self, stamp_ns: int, frame_id: str) -> Header:
        self._ros_clock.observe(self._ros_now_ns())
        ros_ns = self._ros_clock.to_ros_ns(stamp_ns) if self._ros_clock.ready else 0
        return Header(stamp_ns=max(0, ros_ns), frame_id=frame_id)


def _jpeg(image: Image) -> bytes:
    from stream_avs.link.payload import encode_frame  # OpenCV, only when somebody wants JPEG

    return bytes(encode_frame(image, JPEG_QUALITY)[1])
