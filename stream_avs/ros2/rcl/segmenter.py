# mypy: disable-error-code="import-not-found"
"""The segmenter as a lifecycle node: configure loads the network, activate subscribes and publishes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from std_srvs.srv import SetBool, Trigger

from stream_avs.config import ModelConfig
from stream_avs.engine.load import load_models
from stream_avs.errors import StreamAvsError
from stream_avs.models.base import AnyModel
from stream_avs.models.registry import load_model
from stream_avs.ros2 import segmenter as topics
from stream_avs.ros2.audio_fields import AUDIO_INFO, TYPES, AudioKind, kind_of_type
from stream_avs.ros2.diagnostics import Status
from stream_avs.ros2.fields import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, LABEL_INFO
from stream_avs.ros2.qos import parse_qos
from stream_avs.ros2.rcl.node import LATCHED, StreamNode
from stream_avs.ros2.segmenter import Segmenter
from stream_avs.ros2.settings import TOPICS, ImageTransport, MaskSize, SegmenterSettings
from stream_avs.ros2.topic_source import TopicSource

OUTPUTS = {
    topics.MASK: IMAGE,
    topics.MASK_PNG: COMPRESSED_IMAGE,
    topics.CONFIDENCE: IMAGE,
    topics.OVERLAY: IMAGE,
    topics.CAMERA_INFO: CAMERA_INFO,
}
WATCH_PERIOD_S = 0.5


class SegmenterNode(StreamNode[SegmenterSettings]):
    """image_raw, audio -> ~/mask, ~/mask/compressed, ~/confidence, ~/overlay, ~/label_info.

    Args:
        load: builds the network.
        options: handed to rclpy's Node.
    """

    def __init__(self, load: Callable[[ModelConfig], AnyModel] = load_model, **options: Any) -> None:
        super().__init__("segmenter", SegmenterSettings, **options)
        self._load = load
        self._model: AnyModel | None = None
        self._small_model: AnyModel | None = None
        self._segmenter: Segmenter | None = None
        self._watch: Any = None
        self._awaits_audio = False
        self._srv_enable = self.create_service(SetBool, "~/enable", self._on_enable)
        self._srv_reset = self.create_service(Trigger, "~/reset_state", self._on_reset)

    def prepare(self) -> None:
        """Load the network, announce the topics."""
        settings = self.settings()
        self._load_models(settings)
        qos = parse_qos(settings.ros.output_qos)
        for topic, type_name in OUTPUTS.items():
            self.advertise(topic, type_name, qos)
        self.advertise(topics.LABEL_INFO, LABEL_INFO, LATCHED)

    def begin(self) -> None:
        """Start the pipeline, subscribe."""
        settings = self.settings()
        model = self._model or self._load_models(settings)  # freed when the node was deactivated
        clock = self.ros_clock()
        source = TopicSource(clock, self.ros_now_ns) if settings.source == TOPICS else _device(settings)
        self._segmenter = Segmenter(
            settings, source, model, ros_clock=clock, ros_now_ns=self.ros_now_ns, emit=self.emit,
            wanted=self.wanted, ledger=self.ledger, small_model=self._small_model,
            load=partial(load_models, settings, self._load),
        )  # fmt: skip
        info = self._segmenter.start()
        self.emit(topics.LABEL_INFO, self._segmenter.label_info())
        if isinstance(source, TopicSource):
            self._listen_to(source, settings)
        self._watch = self.every(WATCH_PERIOD_S, self._look_after)
        self.get_logger().info(f"segments {info.name}")

    def finish(self) -> None:
        """Stop the pipeline and free the network."""
        watch, self._watch = self._watch, None
        if watch is not None:
            self.destroy_timer(watch)
        segmenter, self._segmenter = self._segmenter, None
        if segmenter is not None:
            segmenter.stop()
        self.release()
        self._awaits_audio = False

    def release(self) -> None:
        """Free the network."""
        self._model = self._small_model = None

    def apply(self, name: str, value: Any) -> None:
        """See `StreamNode.apply`."""
        if self._segmenter is None:
            return
        if name == "ros.overlay_opacity":
            self._segmenter.overlay_opacity = float(value)
        elif name == "ros.mask_size":
            self._segmenter.mask_size = MaskSize(value)

    def statuses(self) -> tuple[Status, ...]:
        """See `StreamNode.statuses`."""
        if self._segmenter is None:
            return ()
        return self._segmenter.statuses(self.get_name(), self.mismatches)

    def _load_models(self, settings: SegmenterSettings) -> AnyModel:
        self._model, self._small_model = load_models(settings, self._load)
        self.get_logger().info(f"network {self._model.id} is loaded")
        return self._model

    def _listen_to(self, source: TopicSource, settings: SegmenterSettings) -> None:
        if settings.ros.image_transport is ImageTransport.RAW:
            self.listen(IMAGE, "image_raw", source.image)
        else:
            self.listen(COMPRESSED_IMAGE, "image_raw/compressed", source.compressed_image)
        self.listen(CAMERA_INFO, "camera_info", lambda message: setattr(source, "camera_info", message))
        if settings.ros.audio_kind == "auto":
            self._awaits_audio = True
            self._seek_audio(source)
        else:
            self._listen_to_audio(source, AudioKind(settings.ros.audio_kind))
        self._source = source

    def _seek_audio(self, source: TopicSource) -> None:
        """Subscribe as soon as somebody publishes sound of a known type."""
        for info in self.get_publishers_info_by_topic(self.resolve_topic_name("audio")):
            kind = kind_of_type(info.topic_type)
            if kind is not None:
                self._awaits_audio = False
                self._listen_to_audio(source, kind)
                return

    def _listen_to_audio(self, source: TopicSource, kind: AudioKind) -> None:
        self.listen(TYPES[kind], "audio", source.audio)
        if kind is AudioKind.ROS_DRIVERS:
            # Once for what was sent before, which only a latched publisher offers; once for all others.
            self.listen(AUDIO_INFO, "audio_info", source.audio_info, LATCHED, loud=False)
            self.listen(AUDIO_INFO, "audio_info", source.audio_info)
        self.get_logger().info(f"listens to {TYPES[kind]}")

    def _look_after(self) -> None:
        if self._segmenter is None:
            return
        try:
            if self._awaits_audio:
                self._seek_audio(self._source)
            if self._segmenter.finished():
                self.get_logger().info("the source has ended")
                self.trigger_deactivate()
        except StreamAvsError as error:
            self.give_up(error)

    def _on_enable(self, request: Any, response: Any) -> Any:
        if self._segmenter is None:
            response.success, response.message = False, "the node is not active"
            return response
        self._segmenter.enabled = bool(request.data)
        response.success, response.message = True, "enabled" if request.data else "disabled"
        return response

    def _on_reset(self, request: Any, response: Any) -> Any:
        if self._segmenter is None:
            response.success, response.message = False, "the node is not active"
            return response
        self._segmenter.reset()
        response.success, response.message = True, "carried state will be cleared before the next mask"
        return response


def _device(settings: SegmenterSettings) -> Any:
    from stream_avs.capture.open_source import make_source  # drivers, only when a device is read

    return make_source(settings)
