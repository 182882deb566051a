"""The overlay node: pictures of a capture node and masks of a segmenter to coloured pictures."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np

from stream_avs.capture.tap import NoSink
from stream_avs.clock import monotonic_ns, unix_offset_ns
from stream_avs.config import require
from stream_avs.link.receiver import ZmqSource
from stream_avs.link.sender import MediaSender
from stream_avs.link.settings import LinkConfig
from stream_avs.publish.draw import overlay_result
from stream_avs.publish.subscriber import Subscriber
from stream_avs.publish.wire import Profile
from stream_avs.service.shutdown import stop_on_signals
from stream_avs.types import NS_PER_MS, Image, MaskResult, StampSource

from .running import Say

TOLERANCE_MS = 15.0
"""On one machine stamps are equal; between machines they agree as well as the wall clocks."""


def _out_default() -> LinkConfig:
    return LinkConfig(address="tcp://127.0.0.1:5561")


@dataclass(frozen=True, kw_only=True)
class OverlayNode:
    """Draw masks over the pictures they belong to, and send them on like a capture node."""

    name: str = "cam0"
    """Name of the stream."""
    masks: str = "tcp://127.0.0.1:5557"
    """Address of the segmenter's masks."""
    masks_key: str = ""
    """Own secret key file (NAME.key_secret), for a segmenter with keys."""
    masks_server_key: str = ""
    """The segmenter's public key file (NAME.key); goes with `masks_key`."""
    link: LinkConfig = field(default_factory=LinkConfig)
    """Where the pictures come from."""
    out: LinkConfig = field(default_factory=_out_default)
    """Where the drawn pictures go; readers use them like a capture node's."""
    opacity: float = 0.5
    """How strongly masks tint the picture."""
    history: int = 60
    """Pictures kept while their mask is awaited."""
    duration_s: float = 0.0
    """Stop after this long; 0 runs until Ctrl-C."""

    def __post_init__(self) -> None:
        require(0 <= self.opacity <= 1, "opacity", self.opacity, "a share in 0..1")
        require(1 <= self.history <= 1000, "history", self.history, "1..1000")
        require(self.duration_s >= 0, "duration_s", self.duration_s, "0 or more seconds")


class PictureSink(NoSink):
    """Keeps the newest pictures of a source by their unix time; ignores its sound.

    Args:
        count: how many to keep.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._pictures: OrderedDict[int, tuple[Image, str]] = OrderedDict()

    def find(self, result: MaskResult) -> tuple[Image, str] | None:
        """The picture a mask belongs to, with its frame_id; None if none is near enough in time."""
        unix_ns = result.stamp_ns + result.unix_offset_ns
        stamps = np.array(list(self._pictures), np.int64)
        if not stamps.size:
            return None
        nearest = int(stamps[np.abs(stamps - unix_ns).argmin()])
        return self._pictures.get(nearest) if abs(nearest - unix_ns) <= TOLERANCE_MS * NS_PER_MS else None

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
        self._pictures[stamp_ns + unix_offset_ns()] = (np.array(image), frame_id)
        if len(self._pictures) > self._count:
            self._pictures.popitem(last=False)


def run_zmq(config: OverlayNode, say: Say) -> None:
    """Draw until a signal comes; pictures nobody reads are not drawn.

    Raises:
        StreamAvsError: an address cannot be bound or is malformed.
    """
    stop = stop_on_signals()
    pictures = PictureSink(config.history)
    source = ZmqSource(config.link, config.name)
    drawn = missing = 0
    end_ns = monotonic_ns() + round(config.duration_s * 1e9) if config.duration_s else 0
    with (
        Subscriber(
            config.masks,
            config.name,
            Profile.LATEST,
            key=config.masks_key,
            server_key=config.masks_server_key,
        ) as masks,
        MediaSender(config.out, config.name, option="out") as out,
    ):
        out.audio_ended()
        source.open()
        source.start(pictures)
        say(f"{config.name} drawn on {out.address}; Ctrl-C ends")
        try:
            while not stop.is_set() and not (end_ns and monotonic_ns() > end_ns):
                result = masks.recv(0.1)
                if result is None or not out.subscribers:
                    continue
                found = pictures.find(result)
                if found is None:
                    missing += 1
                    continue
                image = overlay_result(found[0], result, opacity=config.opacity)
                out.frame(image, result.stamp_ns, monotonic_ns(), frame_id=found[1])
                drawn += 1
        finally:
            source.stop()
    say(f"{drawn} pictures drawn, {missing} masks without their picture")


def main_ros(argv: list[str] | None = None) -> int:
    """`ros2 run stream_avs overlay`."""
    from stream_avs.ros2.rcl.main import run

    return run(("overlay",), argv)
