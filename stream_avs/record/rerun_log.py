"""A live session in Rerun: to a viewer that runs, or to a file.

Pictures and masks share one space, in source pixels, with the labels' names and colours given once;
ages, scores and levels are plots. Time lines: `capture` (Unix time of the frame) and `window_seq`.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

import numpy as np

from stream_avs.capture.base import Sink, SourceInfo
from stream_avs.clock import MonotonicClock, monotonic_ns
from stream_avs.errors import PublishError, missing_package
from stream_avs.ledger import Ledger
from stream_avs.publish.palette import colour_of
from stream_avs.record.codec import compress_picture
from stream_avs.record.config import Picture, RerunConfig
from stream_avs.record.item_sender import ItemSender
from stream_avs.record.items import FrameItem, Item, NoteItem, ResultItem
from stream_avs.record.recorder import ItemTap
from stream_avs.timing.wall_clock import WallClock
from stream_avs.types import NS_PER_S, ClassMap, MaskResult

try:
    import cv2
    import rerun
except ImportError:
    raise missing_package("rerun-sdk", "rerun") from None


class RerunLog:
    """Logs one stream; a context manager. Give `tap` and `publish` to the pipeline.

    Args:
        config: where to.
        stream: name of the stream, the root of its entities.
        ledger: counts what could not be logged.
        clock: the monotonic clock.

    Raises:
        PublishError: the file cannot be made, or the address is malformed.
        MissingPackageError: rerun-sdk is not installed.
    """

    def __init__(
        self,
        config: RerunConfig,
        stream: str,
        ledger: Ledger | None = None,
        clock: MonotonicClock = monotonic_ns,
    ) -> None:
        self._config = config
        self._stream = stream
        self._clock = clock
        self._wall_clock = WallClock(Ledger())  # the pipeline counts when it is set
        self._labels: dict[int, str] | None = None
        self._log = rerun.RecordingStream("stream_avs")
        try:
            if "://" in config.to:
                self._log.connect_grpc(config.to)
            else:
                self._log.save(config.to)
        except (OSError, RuntimeError, ValueError) as error:
            raise PublishError(
                f"cannot log to {config.to}: {error}",
                "Give a file .rrd, or the address of a viewer, e.g. rerun+http://127.0.0.1:9876/proxy",
            ) from None
        self._sender = ItemSender("rerun", self._send, ledger if ledger is not None else Ledger())

    def tap(self, sink: Sink, source: SourceInfo) -> Sink:
        """Return a sink that logs everything and passes it on to `sink`."""
        return ItemTap(sink, self, self._clock)

    def publish(self, result: MaskResult) -> None:
        """Log one result; returns at once."""
        self._sender.put(ResultItem(result=result, log_ns=self._clock()))

    def put(self, item: Item) -> None:
        """Queue one item; sound is left out, Rerun plays none."""
        if isinstance(item, FrameItem | NoteItem):
            self._sender.put(item)

    def close(self) -> None:
        """Log what waits, and end. May be called twice."""
        self._sender.close()
        self._log.flush()
        self._log.disconnect()

    def __enter__(self) -> RerunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, item: Item) -> None:
        if isinstance(item, FrameItem):
            self._at(item.stamp_ns)
            jpeg = compress_picture(item.image, Picture.JPEG, self._config.jpeg_quality)
            self._put("picture", rerun.EncodedImage(contents=jpeg, media_type="image/jpeg"))
        elif isinstance(item, ResultItem):
            self._result(item.result)
        elif isinstance(item, NoteItem):
            self._at(item.log_ns)
            self._put("notes", rerun.TextLog(" ".join(filter(None, (item.kind, item.name, item.text)))))

    def _result(self, result: MaskResult) -> None:
        if result.labels != self._labels:
            self._labels = dict(result.labels)
            names = [rerun.AnnotationInfo(i, name, colour_of(i)) for i, name in self._labels.items()]
            clear = rerun.AnnotationInfo(0, "not sounding", (0, 0, 0, 0))
            self._log.log(self._stream, rerun.AnnotationContext([clear, *names]), static=True)
        self._at(result.stamp_ns)
        self._log.set_time("window_seq", sequence=result.window_seq)
        self._put("picture/mask", rerun.SegmentationImage(in_source_pixels(result), opacity=0.5))
        for name, value in (
            ("age_ms", result.age_ms),
            ("sounding_score", result.sounding_score),
            ("audio_level_dbfs", result.audio_level_dbfs),
            ("dropped", float(result.dropped)),
        ):
            self._put(f"plots/{name}", rerun.Scalars(value))
        self._log.disable_timeline("window_seq")

    def _at(self, stamp_ns: int) -> None:
        self._log.set_time("capture", timestamp=(stamp_ns + self._wall_clock()) / NS_PER_S)

    def _put(self, name: str, what: Any) -> None:
        self._log.log(f"{self._stream}/{name}", what)


def in_source_pixels(result: MaskResult) -> ClassMap:
    """The mask of a result at the size of its source image, uint8 [H, W] class ids."""
    matrix = np.array(result.transform, np.float64).reshape(2, 3)
    size = result.source_size
    return np.asarray(cv2.warpAffine(result.mask, matrix, size, flags=cv2.INTER_NEAREST), np.uint8)
