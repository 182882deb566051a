"""The capture node: a camera and a microphone to ZeroMQ or to ROS topics."""

from __future__ import annotations

from dataclasses import dataclass, field

from stream_avs.capture.open_source import make_source
from stream_avs.config import (
    CameraConfig,
    MediaConfig,
    MicrophoneConfig,
    ReconnectConfig,
    RunConfig,
    SyntheticConfig,
    require,
)
from stream_avs.ledger import Ledger
from stream_avs.link.sender import MediaSender
from stream_avs.link.settings import LinkConfig
from stream_avs.service.shutdown import stop_on_signals

from .running import Say, run_until
from .sink_end import EndingSink


@dataclass(frozen=True, kw_only=True)
class CaptureNode:
    """Send what a camera and a microphone capture to a segmenter on another machine."""

    source: str = "webcam"
    """webcam, camera:N, synthetic, a file, or an rtsp://, udp://, tcp:// or http:// address."""
    name: str = "cam0"
    """Name of the stream."""
    duration_s: float = 0.0
    """Stop after this long; 0 runs until the source ends or Ctrl-C."""
    link: LinkConfig = field(default_factory=LinkConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    microphone: MicrophoneConfig = field(default_factory=MicrophoneConfig)
    media: MediaConfig = field(default_factory=MediaConfig)
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    reconnect: ReconnectConfig = field(default_factory=ReconnectConfig)

    def __post_init__(self) -> None:
        require(self.duration_s >= 0, "duration_s", self.duration_s, "0 or more seconds")
        self.run_config()

    def run_config(self) -> RunConfig:
        """The same as a `RunConfig`, for `make_source`."""
        return RunConfig(
            source=self.source, name=self.name, camera=self.camera, microphone=self.microphone,
            media=self.media, synthetic=self.synthetic, reconnect=self.reconnect,
        )  # fmt: skip


def run_zmq(config: CaptureNode, say: Say) -> None:
    """Capture and send until the source ends or a signal comes.

    Raises:
        StreamAvsError: the source cannot be opened or has failed, or the address cannot be bound.
    """
    stop = stop_on_signals()
    source = make_source(config.run_config())
    ledger = Ledger()
    with MediaSender(config.link, config.name, ledger) as sender:
        sink = EndingSink(sender)
        info = source.open()
        source.start(sink)
        say(f"{info.name} as {config.name} on {sender.address}; Ctrl-C ends")
        try:
            run_until(stop, sink.ended_event.is_set, config.duration_s)
        finally:
            source.stop()
    counts = ", ".join(f"{event.value} {n}" for event, n in ledger.counts().items())
    say(f"captured {sink.frames} frames, {sink.blocks} audio blocks; {counts or 'nothing dropped'}")
    if sink.error is not None:
        raise sink.error


def main_ros(argv: list[str] | None = None) -> int:
    """`ros2 run stream_avs capture`."""
    from stream_avs.ros2.rcl.main import run

    return run(("capture",), argv)
