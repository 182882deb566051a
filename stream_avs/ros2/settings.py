"""Settings of the ROS nodes; their parameters, YAML keys and flags are made from these dataclasses."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from stream_avs.config import (
    CameraConfig,
    MediaConfig,
    MicrophoneConfig,
    ReconnectConfig,
    RunConfig,
    SyntheticConfig,
    require,
)
from stream_avs.ros2.audio_fields import AudioKind
from stream_avs.ros2.qos import parse_qos

TOPICS = "topics"
"""The source that means ROS topics; any other is a device, a file or an address."""


class MaskSize(enum.StrEnum):
    """Resolution of published masks."""

    SOURCE = "source"  # that of the source image: its camera_info fits
    NETWORK = "network"  # the network's own, smaller; ~/camera_info fits


class ImageTransport(enum.StrEnum):
    """Which of a camera's topics is read or written."""

    RAW = "raw"  # image_raw
    COMPRESSED = "compressed"  # image_raw/compressed


@dataclass(frozen=True, kw_only=True)
class RosConfig:
    """What only ROS nodes need to know."""

    input_qos: str = "sensor_data"
    """Quality of service of subscriptions: sensor_data, best_effort, reliable, default; NAME:DEPTH to
    keep another number of messages."""
    output_qos: str = "reliable"
    """Quality of service of published images, named as in input_qos."""
    image_transport: ImageTransport = ImageTransport.RAW
    """Which image topic to use: raw, or compressed (the same name with /compressed)."""
    audio_kind: str = "auto"
    """Audio messages to expect or send: ros_drivers, mgonzs13, audio_utils, or auto for what is there."""
    mask_size: MaskSize = MaskSize.SOURCE
    """Resolution of masks: that of the source image, or the network's with a matching ~/camera_info."""
    overlay_opacity: float = 0.5
    """How strongly masks tint the overlay picture."""
    diagnostics_period_s: float = 1.0
    """Time between two messages on /diagnostics."""
    microphone_frame_id: str = "mic_link"
    """Frame of published sound."""

    def __post_init__(self) -> None:
        parse_qos(self.input_qos)
        parse_qos(self.output_qos)
        kinds = ("auto", *(kind.value for kind in AudioKind))
        require(self.audio_kind in kinds, "ros.audio_kind", self.audio_kind, f"one of: {', '.join(kinds)}")
        require(
            0 <= self.overlay_opacity <= 1, "ros.overlay_opacity", self.overlay_opacity, "a share in 0..1"
        )
        require(
            0.1 <= self.diagnostics_period_s <= 60,
            "ros.diagnostics_period_s", self.diagnostics_period_s, "0.1..60 s",
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SegmenterSettings(RunConfig):
    """The segmenter node: topics or a device in, masks out."""

    source: str = TOPICS
    """topics for ROS topics; or webcam, camera:N, synthetic, a file, or an rtsp:// or http:// address."""
    ros: RosConfig = field(default_factory=RosConfig)


@dataclass(frozen=True, kw_only=True)
class CaptureSettings:
    """The capture node: a camera and a microphone in, topics out."""

    source: str = "webcam"
    """webcam, camera:N, synthetic, a file, or an rtsp:// or http:// address."""
    camera: CameraConfig = field(default_factory=CameraConfig)
    microphone: MicrophoneConfig = field(default_factory=MicrophoneConfig)
    media: MediaConfig = field(default_factory=MediaConfig)
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    reconnect: ReconnectConfig = field(default_factory=ReconnectConfig)
    ros: RosConfig = field(default_factory=RosConfig)
    camera_info: str = ""
    """camera_info YAML file as written by camera calibration; empty publishes none."""

    def __post_init__(self) -> None:
        require(bool(self.source), "source", self.source, "webcam, synthetic, a file or an address")

    def run_config(self) -> RunConfig:
        """The same as a `RunConfig`, for `make_source`."""
        return RunConfig(
            source=self.source, camera=self.camera, microphone=self.microphone, media=self.media,
            synthetic=self.synthetic, reconnect=self.reconnect,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class OverlaySettings:
    """The overlay node: image and mask in, coloured image out."""

    ros: RosConfig = field(default_factory=RosConfig)
    history: int = 30
    """Images kept while their mask is awaited."""

    def __post_init__(self) -> None:
        require(1 <= self.history <= 300, "history", self.history, "1..300")
