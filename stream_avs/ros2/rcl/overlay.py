"""The overlay as a lifecycle node; it listens only while somebody looks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stream_avs.errors import StreamAvsError
from stream_avs.ros2.diagnostics import OK, Status
from stream_avs.ros2.fields import COMPRESSED_IMAGE, IMAGE, LABEL_INFO
from stream_avs.ros2.overlay import Overlay
from stream_avs.ros2.qos import parse_qos
from stream_avs.ros2.rcl.node import LATCHED, StreamNode
from stream_avs.ros2.settings import ImageTransport, OverlaySettings

OUT = "~/image"
WATCH_PERIOD_S = 0.25


class OverlayNode(StreamNode[OverlaySettings]):
    """image_raw, mask, label_info -> ~/image, rgb8."""

    def __init__(self, **options: Any) -> None:
        super().__init__("overlay", OverlaySettings, **options)
        self._overlay: Overlay | None = None
        self._listening = False
        self._drawn = 0
        self._watch: Any = None

    def prepare(self) -> None:
        """Announce the topic."""
        self.advertise(OUT, IMAGE, parse_qos(self.settings().ros.output_qos))

    def begin(self) -> None:
        """Wait for somebody to look."""
        settings = self.settings()
        self._overlay = Overlay(self._send, history=settings.history, opacity=settings.ros.overlay_opacity)
        self._watch = self.every(WATCH_PERIOD_S, self._follow_demand)

    def finish(self) -> None:
        """Forget the images."""
        watch, self._watch = self._watch, None
        if watch is not None:
            self.destroy_timer(watch)
        self._overlay, self._listening = None, False

    def apply(self, name: str, value: Any) -> None:
        """See `StreamNode.apply`."""
        if self._overlay is not None and name == "ros.overlay_opacity":
            self._overlay.opacity = float(value)

    def statuses(self) -> tuple[Status, ...]:
        """See `StreamNode.statuses`."""
        if self._overlay is None:
            return ()
        values = {"drawn": str(self._drawn), "masks without image": str(self._overlay.unmatched)}
        message = "draws" if self._listening else "nobody looks"
        return (Status(level=OK, name=f"{self.get_name()}: overlay", message=message, values=values),)

    def _send(self, fields: Any) -> None:
        self._drawn += 1
        self.emit(OUT, fields)

    def _follow_demand(self) -> None:
        wanted = self.wanted(OUT)
        if wanted and not self._listening:
            self._listen_to_all()
        elif not wanted and self._listening:
            self.stop_listening()
        self._listening = wanted

    def _listen_to_all(self) -> None:
        overlay = self._overlay
        if overlay is None:
            return
        if self.settings().ros.image_transport is ImageTransport.RAW:
            self.listen(IMAGE, "image_raw", self._checked(overlay.image))
        else:
            self.listen(COMPRESSED_IMAGE, "image_raw/compressed", self._checked(overlay.compressed_image))
        self.listen(IMAGE, "mask", self._checked(overlay.mask))
        self.listen(LABEL_INFO, "label_info", overlay.labels, LATCHED)

    def _checked(self, take: Callable[[Any], None]) -> Callable[[Any], None]:
        def callback(message: Any) -> None:
            try:
                take(message)
            except StreamAvsError as error:
                self.get_logger().warning(str(error), throttle_duration_sec=5.0)

        return callback
