"""The capture as a lifecycle node: a camera and a microphone to topics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stream_avs.calibration.camera_info import CameraInfo, read_camera_info
from stream_avs.capture.base import Source
from stream_avs.capture.open_source import make_source
from stream_avs.ros2 import capture as topics
from stream_avs.ros2.audio_fields import AUDIO_INFO, TYPES, AudioKind
from stream_avs.ros2.capture import CaptureOutput, TopicSink
from stream_avs.ros2.diagnostics import OK, STALE, Status
from stream_avs.ros2.fields import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE
from stream_avs.ros2.qos import PROFILES, parse_qos
from stream_avs.ros2.rcl.messages import is_installed
from stream_avs.ros2.rcl.node import LATCHED, StreamNode
from stream_avs.ros2.settings import CaptureSettings

WATCH_PERIOD_S = 0.5


class CaptureNode(StreamNode[CaptureSettings]):
    """camera, microphone -> image_raw, image_raw/compressed, camera_info, audio, audio_info."""

    def __init__(self, **options: Any) -> None:
        super().__init__("capture", CaptureSettings, **options)
        self._kind: AudioKind | None = None
        self._calibration: CameraInfo | None = None
        self._source: Source | None = None
        self._sink: TopicSink | None = None
        self._watch: Any = None

    def prepare(self) -> None:
        """Read the calibration, announce the topics."""
        settings = self.settings()
        self._calibration = read_camera_info(Path(settings.camera_info)) if settings.camera_info else None
        self._kind = self._choose_kind(settings.ros.audio_kind)
        qos = parse_qos(settings.ros.output_qos)
        self.advertise(topics.IMAGE, IMAGE, qos)
        self.advertise(topics.IMAGE_JPEG, COMPRESSED_IMAGE, qos)
        self.advertise(topics.CAMERA_INFO, CAMERA_INFO, qos)
        if self._kind is not None:
            self.advertise(topics.AUDIO, TYPES[self._kind], PROFILES["default"])
            if self._kind is AudioKind.ROS_DRIVERS:
                self.advertise(topics.AUDIO_INFO, AUDIO_INFO, LATCHED)

    def begin(self) -> None:
        """Open the source and start it."""
        settings = self.settings()
        output = CaptureOutput(
            audio_kind=self._kind,
            microphone_frame_id=settings.ros.microphone_frame_id,
            calibration=self._calibration,
        )
        self._sink = TopicSink(
            output, ros_clock=self.ros_clock(), ros_now_ns=self.ros_now_ns, emit=self.emit,
            wanted=self.wanted, ledger=self.ledger,
        )  # fmt: skip
        self._source = make_source(settings.run_config())
        info = self._source.open()
        for note in info.notes:
            self.get_logger().warning(note)
        self._source.start(self._sink)
        self._watch = self.every(WATCH_PERIOD_S, self._look_after)
        self.get_logger().info(f"captures {info.name}")

    def finish(self) -> None:
        """Stop the source."""
        watch, self._watch = self._watch, None
        if watch is not None:
            self.destroy_timer(watch)
        source, self._source = self._source, None
        if source is not None:
            source.stop()

    def statuses(self) -> tuple[Status, ...]:
        """See `StreamNode.statuses`."""
        if self._sink is None:
            return ()
        values = {"frames": str(self._sink.frames), "audio blocks": str(self._sink.blocks)}
        values |= {event.value: str(count) for event, count in self.ledger.counts().items()}
        level, message = (OK, "captures") if self._sink.frames else (STALE, "no pictures yet")
        return (Status(level=level, name=f"{self.get_name()}: source", message=message, values=values),)

    def _choose_kind(self, asked: str) -> AudioKind | None:
        if asked != "auto":
            return AudioKind(asked)
        for kind, type_name in TYPES.items():
            if is_installed(type_name):
                return kind
        self.get_logger().warning(
            "no package of audio messages is installed, so no sound is sent;"
            " install audio_common_msgs or audio_utils_msgs"
        )
        return None

    def _look_after(self) -> None:
        if self._sink is None or not self._sink.finished.is_set():
            return
        if self._sink.error is not None:
            self.give_up(self._sink.error)
        else:
            self.get_logger().info("the source has ended")
            self.trigger_deactivate()
