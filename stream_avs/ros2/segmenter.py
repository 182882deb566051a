"""The segmenter of the ROS nodes: a pipeline whose results leave as messages. Knows no ROS library.

source ──► Gate ──► Pipeline ──► Outbox ──► emit(topic, fields)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from stream_avs.capture.base import Source, SourceInfo
from stream_avs.config import Policy
from stream_avs.engine.load import Models
from stream_avs.engine.statistics import Snapshot
from stream_avs.errors import StreamAvsError
from stream_avs.ledger import Ledger
from stream_avs.models.base import AnyModel
from stream_avs.pipeline import Pipeline
from stream_avs.ros2 import image_fields as images
from stream_avs.ros2.camera_info import camera_info_for_mask
from stream_avs.ros2.diagnostics import InputHealth, Status, input_status, mask_status
from stream_avs.ros2.fields import Fields, Header
from stream_avs.ros2.gate import Gate
from stream_avs.ros2.outbox import Outbox
from stream_avs.ros2.ros_clock import RosClock
from stream_avs.ros2.settings import MaskSize, SegmenterSettings
from stream_avs.ros2.topic_source import TopicSource
from stream_avs.types import MaskResult

MASK = "~/mask"
MASK_PNG = "~/mask/compressed"
CONFIDENCE = "~/confidence"
OVERLAY = "~/overlay"
CAMERA_INFO = "~/camera_info"
LABEL_INFO = "~/label_info"

Emit = Callable[[str, Fields], None]
"""Publishes a message on a topic; called from one thread."""


class Segmenter:
    """One stream from source to messages.

    Args:
        settings: of the node.
        source: a `TopicSource`, whose image headers are copied to the masks; or any other.
        model: the network.
        small_model, load: see `Pipeline`.
        ros_clock: gives masks of other sources their ROS time.
        ros_now_ns: returns ROS time.
        emit: where messages go.
        wanted: whether anybody subscribes to a topic; what nobody wants is not made.
        ledger: where events are counted.
    """

    def __init__(
        self,
        settings: SegmenterSettings,
        source: Source,
        model: AnyModel,
        *,
        ros_clock: RosClock,
        ros_now_ns: Callable[[], int],
        emit: Emit,
        wanted: Callable[[str], bool],
        ledger: Ledger,
        small_model: AnyModel | None = None,
        load: Callable[[], Models] | None = None,
    ) -> None:
        self._settings = settings
        self._source = source
        self._model = model
        self._ros_clock = ros_clock
        self._ros_now_ns = ros_now_ns
        self._emit = emit
        self._wanted = wanted
        self._gate = Gate(lambda: wanted(OVERLAY))
        self._outbox = Outbox(self._deliver, ledger)
        freshest = replace(settings, policy=Policy.FRESHEST)
        self._pipeline = Pipeline(
            freshest, source, model, (self._outbox.put,), self._gate.wrap, ledger, small_model, load
        )
        self.mask_size = settings.ros.mask_size
        """May be changed at any time."""
        self.overlay_opacity = settings.ros.overlay_opacity
        """May be changed at any time."""

    def start(self) -> SourceInfo:
        """Warm the network up, open the source and begin; see `Pipeline.start` for the errors."""
        self._outbox.start()
        return self._pipeline.start()

    def stop(self) -> None:
        """End capture, network and delivery."""
        self._pipeline.stop()
        self._outbox.stop()

    def reset(self) -> None:
        """Clear the carried state before the next mask."""
        self._pipeline.reset("request")

    @property
    def enabled(self) -> bool:
        """False drops input, so no masks are made."""
        return self._gate.open

    @enabled.setter
    def enabled(self, value: bool) -> None:
        self._gate.open = value

    def snapshot(self) -> Snapshot:
        """Rate, age, drops and what sounds, now."""
        return self._pipeline.snapshot()

    def finished(self) -> bool:
        """True after the regular end of the stream.

        Raises:
            StreamAvsError: the source or the network failed, or a message could not be sent.
        """
        if self._outbox.error is not None:
            raise StreamAvsError(f"a mask could not be sent: {self._outbox.error}") from self._outbox.error
        return self._pipeline.wait(0)

    def statuses(self, node: str, incompatible: tuple[str, ...] = ()) -> tuple[Status, ...]:
        """What /diagnostics shall say."""
        budget_ms = self._settings.window.staleness_budget_s * 1000
        masks = mask_status(node, self.snapshot(), budget_ms)
        health = self._health(incompatible)
        return (masks,) if health is None else (input_status(node, health), masks)

    def label_info(self) -> Fields:
        """`vision_msgs/LabelInfo` of the network; a threshold of 0 stands for the network's own."""
        header = Header(stamp_ns=max(0, self._ros_now_ns()), frame_id="")
        return images.label_info_fields(self._model.labels, max(0.0, self._settings.model.threshold), header)

    def _health(self, incompatible: tuple[str, ...]) -> InputHealth | None:
        return self._source.health(incompatible) if isinstance(self._source, TopicSource) else None

    def _deliver(self, result: MaskResult) -> None:
        header = self._header(result)
        at_source = self.mask_size is MaskSize.SOURCE
        if self._wanted(MASK) or self._wanted(MASK_PNG):
            mask = images.mask_at_source(result) if at_source else result.mask
            if self._wanted(MASK):
                self._emit(MASK, images.image_fields(mask, "mono8", header))
            if self._wanted(MASK_PNG):
                self._emit(MASK_PNG, images.png_fields(mask, header))
        if result.confidence is not None and self._wanted(CONFIDENCE):
            confidence = (
                images.confidence_at_source(result)
                if at_source
                else images.unit_confidence(result.confidence)
            )
            self._emit(CONFIDENCE, images.image_fields(confidence, "32FC1", header))
        if not at_source:
            self._emit_camera_info(result, header)
        if self._wanted(OVERLAY):
            self._emit_overlay(result, header)

    def _header(self, result: MaskResult) -> Header:
        """That of the source image; of other sources than topics, its capture time as ROS time."""
        if isinstance(self._source, TopicSource):
            header = self._source.headers.find(result.stamp_ns)
            if header is not None:
                return header
        self._ros_clock.observe(self._ros_now_ns())
        stamp_ns = self._ros_clock.to_ros_ns(result.stamp_ns) if self._ros_clock.ready else 0
        return Header(stamp_ns=max(0, stamp_ns), frame_id=result.frame_id)

    def _emit_camera_info(self, result: MaskResult, header: Header) -> None:
        info = self._source.camera_info if isinstance(self._source, TopicSource) else None
        if info is not None and self._wanted(CAMERA_INFO):
            height, width = result.mask.shape
            fields = camera_info_for_mask(info, result.transform, (width, height), header)
            self._emit(CAMERA_INFO, fields)

    def _emit_overlay(self, result: MaskResult, header: Header) -> None:
        picture = self._gate.picture(result.stamp_ns)
        if picture is None:
            return
        from stream_avs.publish.draw import overlay_result  # needs OpenCV, which masks do not

        drawn = overlay_result(picture, result, opacity=self.overlay_opacity)
        self._emit(OVERLAY, images.rgb(drawn, header))
