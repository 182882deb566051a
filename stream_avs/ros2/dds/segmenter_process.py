"""The segmenter on ROS topics without ROS: `stream-avs node segmenter --transport dds`."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from stream_avs.capture.base import Source
from stream_avs.config import require
from stream_avs.engine.load import load_models
from stream_avs.ledger import Ledger
from stream_avs.models.base import AnyModel
from stream_avs.ros2 import segmenter as topics
from stream_avs.ros2.audio_fields import AUDIO_INFO, TYPES, AudioKind
from stream_avs.ros2.dds.participant import Output, Participant
from stream_avs.ros2.dds.store import Store
from stream_avs.ros2.diagnostics import diagnostics_fields
from stream_avs.ros2.fields import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    DIAGNOSTIC_ARRAY,
    IMAGE,
    LABEL_INFO,
    Header,
)
from stream_avs.ros2.qos import PROFILES, parse_qos
from stream_avs.ros2.ros_clock import RosClock
from stream_avs.ros2.segmenter import Segmenter
from stream_avs.ros2.settings import TOPICS, ImageTransport, SegmenterSettings
from stream_avs.ros2.topic_source import TopicSource
from stream_avs.service.shutdown import stop_on_signals

OUTPUTS = {
    topics.MASK: IMAGE,
    topics.MASK_PNG: COMPRESSED_IMAGE,
    topics.CONFIDENCE: IMAGE,
    topics.OVERLAY: IMAGE,
    topics.CAMERA_INFO: CAMERA_INFO,
}
DIAGNOSTICS = "/diagnostics"


@dataclass(frozen=True, kw_only=True)
class DdsConfig:
    """Where on the ROS graph this process stands."""

    domain_id: int = 0
    """ROS_DOMAIN_ID of the robot."""
    node: str = "segmenter"
    """Name of the node."""
    namespace: str = ""
    """Namespace of the node and of relative topics."""
    in_graph: bool = True
    """Appear in `ros2 node list`; the form is that of Jazzy."""
    image: str = "image_raw"
    """Image topic; with ros.image_transport compressed, /compressed is added."""
    camera_info: str = "camera_info"
    """CameraInfo topic."""
    audio: str = "audio"
    """Sound topic, of the kind that ros.audio_kind names; auto stands for ros_drivers."""
    audio_info: str = "audio_info"
    """AudioInfo topic of ros_drivers."""

    def __post_init__(self) -> None:
        require(0 <= self.domain_id <= 232, "dds.domain_id", self.domain_id, "0..232")
        require(self.node.isidentifier(), "dds.node", self.node, "letters, digits and _")


@dataclass(frozen=True, kw_only=True)
class DdsSegmenter(SegmenterSettings):
    """Masks of ROS topics, from a process without ROS."""

    dds: DdsConfig = field(default_factory=DdsConfig)


def run_dds(
    config: DdsSegmenter,
    say: Callable[[str], None],
    model: AnyModel | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Segment until the source ends or a signal comes.

    Args:
        config: of the process.
        say: tells the user.
        model: instead of the one that `config` names.
        stop: ends the run when set; None waits for SIGINT and SIGTERM.

    Raises:
        StreamAvsError: the source or the model failed.
    """
    stop = stop or stop_on_signals()
    load = partial(load_models, config) if model is None else None
    model, small_model = load() if load is not None else (model, None)
    assert model is not None
    kind = AudioKind.ROS_DRIVERS if config.ros.audio_kind == "auto" else AudioKind(config.ros.audio_kind)
    ledger = Ledger()
    with Participant(
        config.dds.node, namespace=config.dds.namespace, domain_id=config.dds.domain_id,
        store=Store(kind), in_graph=config.dds.in_graph,
    ) as participant:  # fmt: skip
        outputs = _advertise(participant, config)
        clock = RosClock(ledger)
        source = TopicSource(clock, time.time_ns)
        segmenter = Segmenter(
            config, source if config.source == TOPICS else _device(config), model,
            ros_clock=clock, ros_now_ns=time.time_ns, ledger=ledger, small_model=small_model, load=load,
            emit=lambda topic, fields: outputs[topic].publish(fields),
            wanted=lambda topic: outputs[topic].readers > 0,
        )  # fmt: skip
        try:
            info = segmenter.start()
            outputs[topics.LABEL_INFO].publish(segmenter.label_info())
            if config.source == TOPICS:
                _listen(participant, source, config, kind)
            participant.start()
            say(f"segments {info.name} in domain {config.dds.domain_id}; Ctrl-C ends")
            _wait(stop, segmenter, outputs[DIAGNOSTICS], config)
        finally:
            segmenter.stop()
        say(f"{segmenter.snapshot().masks} masks")


def _advertise(participant: Participant, config: DdsSegmenter) -> dict[str, Output]:
    qos = parse_qos(config.ros.output_qos)
    outputs = {topic: participant.advertise(topic, kind, qos) for topic, kind in OUTPUTS.items()}
    outputs[topics.LABEL_INFO] = participant.advertise(topics.LABEL_INFO, LABEL_INFO, PROFILES["latched"])
    outputs[DIAGNOSTICS] = participant.advertise(DIAGNOSTICS, DIAGNOSTIC_ARRAY, PROFILES["default"])
    return outputs


def _listen(participant: Participant, source: TopicSource, config: DdsSegmenter, kind: AudioKind) -> None:
    qos, names = parse_qos(config.ros.input_qos), config.dds
    if config.ros.image_transport is ImageTransport.RAW:
        participant.listen(names.image, IMAGE, source.image, qos)
    else:
        participant.listen(f"{names.image}/compressed", COMPRESSED_IMAGE, source.compressed_image, qos)
    participant.listen(names.camera_info, CAMERA_INFO, lambda m: setattr(source, "camera_info", m), qos)
    participant.listen(names.audio, TYPES[kind], source.audio, qos)
    if kind is AudioKind.ROS_DRIVERS:
        participant.listen(names.audio_info, AUDIO_INFO, source.audio_info, PROFILES["latched"])
        participant.listen(names.audio_info, AUDIO_INFO, source.audio_info, qos)


def _wait(stop: threading.Event, segmenter: Segmenter, diagnostics: Output, config: DdsSegmenter) -> None:
    next_s = time.monotonic()
    while not stop.wait(0.1) and not segmenter.finished():
        if time.monotonic() >= next_s:
            next_s += config.ros.diagnostics_period_s
            header = Header(stamp_ns=time.time_ns(), frame_id="")
            statuses = segmenter.statuses(config.dds.node)
            diagnostics.publish(diagnostics_fields(statuses, socket.gethostname(), header))


def _device(config: DdsSegmenter) -> Source:
    from stream_avs.capture.open_source import make_source

    return make_source(config)
