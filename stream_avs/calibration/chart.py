"""Small charts as pictures, drawn with OpenCV: axes with round ticks, points, lines, bands, text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stream_avs.calibration.opencv import cv2
from stream_avs.errors import ConfigError
from stream_avs.types import Image

Colour = tuple[int, int, int]

INK: Colour = (38, 38, 42)
GREY: Colour = (120, 120, 126)
GRID: Colour = (226, 226, 230)
BLUE: Colour = (31, 102, 178)
RED: Colour = (200, 50, 40)
BAND: Colour = (252, 226, 220)

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SHIFT = 4
"""OpenCV draws at sixteenths of a pixel when given coordinates scaled by 2**4."""


class Chart:
    """A white picture with a title, to which panels are added.

    Args:
        width_px, height_px: size.
        title: one line at the top.
        subtitle: one line below it, smaller.
    """

    def __init__(self, width_px: int, height_px: int, title: str, subtitle: str = "") -> None:
        self.image: Image = np.full((height_px, width_px, 3), 255, np.uint8)
        text(self.image, title, (28, 42), 0.75, INK)
        text(self.image, subtitle, (28, 70), 0.5, GREY)

    def save(self, path: Path) -> None:
        """Write as PNG.

        Raises:
            ConfigError: the file cannot be written.
        """
        save_png(path, self.image)


class Panel:
    """Axes within a chart; points given in axis units.

    Args:
        chart: where to draw.
        box: left, top, right, bottom in pixels, without the labels around.
        x_range, y_range: what the axes span; y from bottom to top, which may run downwards.
        x_label, y_label: what they mean, with unit.
    """

    def __init__(
        self,
        chart: Chart,
        box: tuple[int, int, int, int],
        x_range: tuple[float, float],
        y_range: tuple[float, float],
        x_label: str,
        y_label: str,
    ) -> None:
        self._image = chart.image
        self._box = box
        self._x_range, self._y_range = _widened(x_range), _widened(y_range)
        left, top, right, bottom = box
        for tick in ticks(*self._x_range):
            at = round(float(self._at(tick, self._y_range[0])[0]))
            cv2.line(self._image, (at, top), (at, bottom), GRID, 1)
            text(self._image, f"{tick:g}", (at, bottom + 20), 0.42, GREY, centre=True)
        for tick in ticks(*self._y_range):
            at = round(float(self._at(self._x_range[0], tick)[1]))
            cv2.line(self._image, (left, at), (right, at), GRID, 1)
            label = f"{tick:g}"
            text(self._image, label, (left - 8 - width_of(label, 0.42), at + 5), 0.42, GREY)
        cv2.rectangle(self._image, (left, top), (right, bottom), GREY, 1)
        text(self._image, x_label, ((left + right) // 2, bottom + 44), 0.48, INK, centre=True)
        text(self._image, y_label, (left, top - 12), 0.48, INK)

    def points(self, x: ArrayLike, y: ArrayLike, colour: Colour = BLUE, radius_px: float = 3.0) -> None:
        """Draw dots; those outside are left out."""
        for px, py in self._inside(x, y):
            cv2.circle(
                self._image, _fine(px, py), round(radius_px * 2**_SHIFT), colour, -1, cv2.LINE_AA, _SHIFT
            )

    def bars(self, x: ArrayLike, low: ArrayLike, high: ArrayLike, colour: Colour = BLUE) -> None:
        """Draw upright error bars, cut off at the panel's edge."""
        rows = zip(
            np.ravel(np.asarray(x)), np.ravel(np.asarray(low)), np.ravel(np.asarray(high)), strict=True
        )
        for at, a, b in rows:
            first, last = sorted(self._y_range)
            self.line([at, at], np.clip([a, b], first, last), colour, 1)

    def line(self, x: ArrayLike, y: ArrayLike, colour: Colour = RED, thickness_px: int = 2) -> None:
        """Draw a line through points, which should lie inside."""
        points = [_fine(*self._at(a, b)) for a, b in _pairs(x, y)]
        lines = [np.array(points, np.int32)]
        cv2.polylines(self._image, lines, False, colour, thickness_px, cv2.LINE_AA, _SHIFT)

    def band(self, low: float, high: float, *, upright: bool, colour: Colour = BAND) -> None:
        """Tint from `low` to `high` on the x axis (upright) or the y axis; draw it first."""
        first, last = self._x_range if upright else self._y_range
        low, high = (float(np.clip(v, min(first, last), max(first, last))) for v in (low, high))
        if upright:
            self.rectangle(low, self._y_range[0], high, self._y_range[1], colour)
        else:
            self.rectangle(self._x_range[0], low, self._x_range[1], high, colour)

    def rectangle(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        """Tint a rectangle inside the panel; what is drawn there already stays visible."""
        corners = np.rint([self._at(x0, y0), self._at(x1, y1)]).astype(int)
        (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
        area = self._image[top : bottom + 1, left : right + 1]
        np.minimum(area, np.array(colour, np.uint8), out=area)

    def _at(self, x: float, y: float) -> tuple[float, float]:
        left, top, right, bottom = self._box
        (x0, x1), (y0, y1) = self._x_range, self._y_range
        return left + (x - x0) / (x1 - x0) * (right - left), bottom - (y - y0) / (y1 - y0) * (bottom - top)

    def _inside(self, x: ArrayLike, y: ArrayLike) -> list[tuple[float, float]]:
        (x0, x1), (y0, y1) = sorted(self._x_range), sorted(self._y_range)
        return [self._at(a, b) for a, b in _pairs(x, y) if x0 <= a <= x1 and y0 <= b <= y1]


def ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Round numbers from `low` to `high`, about so many."""
    low, high = min(low, high), max(low, high)
    rough = (high - low) / about
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * min((1, 2, 5, 10), key=lambda m: abs(m * power - rough))
    first = int(np.ceil(low / step - 1e-9))
    last = int(np.floor(high / step + 1e-9))
    return [round(float(i * step), 12) + 0.0 for i in range(first, last + 1)]


def text(
    image: Image, words: str, at: tuple[int, int], size: float, colour: Colour, *, centre: bool = False
) -> None:
    """Write a line; `at` is the left, or with `centre` the middle, of its base line."""
    left = at[0] - width_of(words, size) // 2 if centre else at[0]
    cv2.putText(image, words, (left, at[1]), _FONT, size, colour, 1, cv2.LINE_AA)


def width_of(words: str, size: float) -> int:
    """Width of a line in pixels."""
    return int(cv2.getTextSize(words, _FONT, size, 1)[0][0])


def save_png(path: Path, image: Image) -> None:
    """Write an RGB or grey picture as PNG; raises ConfigError when that is not possible."""
    ok, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image)
    if not ok:
        raise ConfigError(f"picture of shape {image.shape} cannot be written as PNG")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", "Choose another place") from None


def _widened(span: tuple[float, float]) -> tuple[float, float]:
    first, last = span
    return (first, last) if first != last else (first - 1.0, first + 1.0)


def _pairs(x: ArrayLike, y: ArrayLike) -> Sequence[tuple[float, float]]:
    xs: NDArray[np.float64] = np.ravel(np.asarray(x, np.float64))
    ys: NDArray[np.float64] = np.ravel(np.asarray(y, np.float64))
    return [(float(a), float(b)) for a, b in zip(xs, ys, strict=True)]


def _fine(x: float, y: float) -> tuple[int, int]:
    return round(x * 2**_SHIFT), round(y * 2**_SHIFT)
