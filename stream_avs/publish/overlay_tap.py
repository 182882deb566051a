"""Brings captured pictures and their masks together again for the overlay video.

Sits between source and pipeline and sees every frame; results come later. A frame whose mask has
come is drawn with it; one that was passed over is drawn with the mask before it.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from stream_avs.capture.base import Sink, SourceInfo
from stream_avs.capture.passing_sink import PassingSink
from stream_avs.errors import PublishError
from stream_avs.ledger import Ledger
from stream_avs.publish.overlay_video import OverlayWriter
from stream_avs.types import AudioBlock, Image, MaskResult, StampSource

MAX_PENDING_BYTES = 256_000_000
MIN_QUEUE, MAX_QUEUE = 8, 64  # a slow mask frees the frames since the one before all at once
DEFAULT_SIZE = (640, 480)
DEFAULT_FPS = 25.0


class OverlayTap:
    """Makes an overlay video of one pipeline; a context manager.

    Args:
        path: the video file.
        ledger: counts frames the video could not take.
        wait: hold the worker up rather than leave frames out of the video (files played fast).

    Raises:
        PublishError: the folder of `path` cannot be made.
    """

    def __init__(self, path: Path, ledger: Ledger, *, wait: bool = False) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PublishError(
                f"folder {path.parent} cannot be made: {error.strerror}", "Choose another --overlay file"
            ) from None
        self._path = path
        self._ledger = ledger
        self._wait = wait
        self._lock = threading.Lock()
        self._pending: deque[tuple[Image, int]] = deque()
        self._pending_bytes = 0
        self._shown: MaskResult | None = None
        self._writer: OverlayWriter | None = None

    def wrap(self, sink: Sink, info: SourceInfo) -> Sink:
        """Begin the video and return a sink that passes everything on to `sink`.

        Raises:
            PublishError: the file cannot be written.
        """
        size = (info.width_px, info.height_px) if info.width_px and info.height_px else DEFAULT_SIZE
        self._writer = OverlayWriter(
            self._path,
            size,
            info.fps or DEFAULT_FPS,
            info.sample_rate_hz or None,
            ledger=self._ledger,
            queue=max(MIN_QUEUE, min(MAX_QUEUE, MAX_PENDING_BYTES // (size[0] * size[1] * 3))),
            wait=self._wait,
        )
        return _TappedSink(sink, self)

    def frame(self, image: Image, stamp_ns: int) -> None:
        """Keep a captured frame until its mask, or a later one, has come."""
        with self._lock:
            self._pending.append((image.copy(), stamp_ns))
            self._pending_bytes += image.nbytes
            while self._pending_bytes > MAX_PENDING_BYTES:
                self._write_first(self._shown)

    def audio(self, block: AudioBlock) -> None:
        """Pass a copy of the sound to the video."""
        if self._writer is not None:
            self._writer.audio(replace(block, samples=block.samples.copy()))

    def publish(self, result: MaskResult) -> None:
        """Draw every frame up to the one `result` belongs to."""
        with self._lock:
            while self._pending and self._pending[0][1] <= result.stamp_ns:
                if self._pending[0][1] == result.stamp_ns:
                    self._shown = result
                self._write_first(self._shown)
            self._shown = result

    @property
    def whole(self) -> bool:
        """False if the video could not be written to its end, e.g. because the disk is full."""
        return self._writer is not None and self._writer.error is None

    def report(self) -> str:
        """One line about the video: where it is, or why it is not whole."""
        writer = self._writer
        if writer is None:
            return f"overlay video {self._path} was not begun"
        if writer.error is not None:
            return f"overlay video {self._path} is not whole: {writer.error}"
        left_out = f", {writer.dropped} left out" if writer.dropped else ""
        return f"overlay video: {self._path} ({writer.written} frames{left_out})"

    def close(self) -> None:
        """Write what waits and finish the file."""
        with self._lock:
            while self._pending:
                self._write_first(self._shown)
        if self._writer is not None:
            self._writer.close()

    def __enter__(self) -> OverlayTap:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write_first(self, result: MaskResult | None) -> None:
        image, stamp_ns = self._pending.popleft()
        self._pending_bytes -= image.nbytes
        if self._writer is not None:
            self._writer.frame(image, result, stamp_ns)


class _TappedSink(PassingSink):
    """Shows frames and sound to the tap before it passes them on."""

    def __init__(self, sink: Sink, tap: OverlayTap) -> None:
        super().__init__(sink)
        self._tap = tap

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
        self._tap.frame(image, stamp_ns)
        super().frame(image, stamp_ns, arrival_ns, frame_id=frame_id, stamp_source=stamp_source)

    def audio(self, block: AudioBlock) -> None:
        """See `Sink.audio`."""
        self._tap.audio(block)
        super().audio(block)
