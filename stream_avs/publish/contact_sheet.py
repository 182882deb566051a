"""A contact sheet: pictures of a whole session with their masks, evenly spread, in one image.

How long a session will be is not known, so twice as many pictures as wanted are kept, at a distance
that doubles whenever they are too many.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from stream_avs.capture.base import Sink, SourceInfo
from stream_avs.capture.passing_sink import PassingSink
from stream_avs.errors import missing_package
from stream_avs.publish.draw import overlay_result
from stream_avs.types import NS_PER_S, Image, MaskResult, StampSource

try:
    import cv2
except ImportError:
    raise missing_package("OpenCV (cv2)", "live") from None

MAX_PENDING = 64
GROUND = (18, 20, 26)
INK = (236, 239, 243)
GAP_PX = 12
CAPTION_PX = 26
_FONT = cv2.FONT_HERSHEY_SIMPLEX


class ContactSheet:
    """Collects pictures and results of one pipeline. Frames and results may come from two threads.

    Args:
        pictures: how many to show.
        columns: how many of them side by side.
        width_px: of each.
        opacity: of the masks' tint, 0..1.

    Raises:
        ValueError: no pictures, or no columns.
    """

    def __init__(
        self, pictures: int = 12, columns: int = 4, width_px: int = 360, opacity: float = 0.5
    ) -> None:
        if pictures < 1 or columns < 1:
            raise ValueError(f"sheet of {pictures} pictures in {columns} columns, expected 1 or more of both")
        self._wanted = pictures
        self._columns = columns
        self._width_px = width_px
        self._opacity = opacity
        self._pending: OrderedDict[int, Image] = OrderedDict()
        self._kept: list[tuple[int, Image]] = []
        self._step = 1
        self._seen = 0
        self._first_ns: int | None = None
        self._last: tuple[Image, MaskResult] | None = None

    def wrap(self, sink: Sink, info: SourceInfo) -> Sink:
        """Return a sink that shows all frames to the sheet and passes everything on to `sink`."""
        return _Tap(sink, self)

    def frame(self, image: Image, stamp_ns: int) -> None:
        """Keep a copy of a frame until its result comes."""
        self._pending[stamp_ns] = image.copy()
        if len(self._pending) > MAX_PENDING:
            self._pending.popitem(last=False)

    def publish(self, result: MaskResult) -> None:
        """Draw the frame of a result, if it is one of those to keep."""
        image = self._pending.pop(result.stamp_ns, None)
        if image is None:
            return
        if self._first_ns is None:
            self._first_ns = result.stamp_ns
        self._last = (image, result)
        if self._seen % self._step == 0:
            self._kept.append((result.stamp_ns - self._first_ns, self._small(image, result)))
        self._seen += 1
        if len(self._kept) > 2 * self._wanted:
            self._kept = self._kept[::2]
            self._step *= 2

    def image(self) -> Image | None:
        """The sheet, RGB; None if no picture had a mask."""
        if self._last is None:
            return None
        chosen = self._spread()
        columns = min(self._columns, len(chosen))
        rows = -(-len(chosen) // columns)
        cell_h = max(image.shape[0] for _, image in chosen) + CAPTION_PX
        width = columns * self._width_px + (columns + 1) * GAP_PX
        sheet = np.full((rows * (cell_h + GAP_PX) + GAP_PX, width, 3), GROUND, np.uint8)
        for k, (since_ns, image) in enumerate(chosen):
            x = GAP_PX + k % columns * (self._width_px + GAP_PX)
            y = GAP_PX + k // columns * (cell_h + GAP_PX)
            sheet[y : y + image.shape[0], x : x + self._width_px] = image
            caption = f"{since_ns / NS_PER_S:.2f} s"
            cv2.putText(sheet, caption, (x, y + image.shape[0] + 19), _FONT, 0.5, INK, 1, cv2.LINE_AA)
        return sheet

    def png(self) -> bytes | None:
        """The sheet as a PNG file; None if no picture had a mask."""
        sheet = self.image()
        if sheet is None:
            return None
        done, data = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
        assert done, "a sheet is always a picture"
        return bytes(data)

    def _spread(self) -> list[tuple[int, Image]]:
        """Those to show: the nearest to evenly spread times, each once; the last among them."""
        assert self._last is not None
        image, result = self._last
        last_ns = result.stamp_ns - (self._first_ns or 0)
        kept = dict(self._kept)
        if last_ns not in kept:
            kept[last_ns] = self._small(image, result)
        times = np.array(list(kept))
        wanted = np.linspace(0, last_ns, min(self._wanted, len(kept)))
        nearest = {int(times[np.abs(times - at).argmin()]) for at in wanted[::-1]}
        return [(at, kept[at]) for at in sorted(nearest)]

    def _small(self, image: Image, result: MaskResult) -> Image:
        # Scaled before it is drawn, so that names stay readable.
        height_px = max(1, round(image.shape[0] * self._width_px / image.shape[1]))
        small = np.asarray(
            cv2.resize(image, (self._width_px, height_px), interpolation=cv2.INTER_AREA), np.uint8
        )
        return overlay_result(small, result, opacity=self._opacity)


class _Tap(PassingSink):
    def __init__(self, sink: Sink, sheet: ContactSheet) -> None:
        super().__init__(sink)
        self._sheet = sheet

    def frame(
        self,
        image: Image,
        stamp_ns: int,
        arrival_ns: int,
        *,
        frame_id: str = "camera",
        stamp_source: StampSource = StampSource.ARRIVAL,
    ) -> None:
        self._sheet.frame(image, stamp_ns)
        super().frame(image, stamp_ns, arrival_ns, frame_id=frame_id, stamp_source=stamp_source)
