"""Which views of a board are worth keeping, and whether together they can determine a camera.

A view must be sharp and unlike those kept before. Together they must reach all parts of the picture,
or the distortion there is a guess, and must tilt the board, or focal length and distance cannot be
told apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_avs.calibration.boards import Found, Grey, spacings_px
from stream_avs.calibration.opencv import cv2

GRID = (8, 6)
"""Cells across and down in which corners must be seen."""

MIN_NOVELTY = 0.15
"""Two views less apart than this are alike: a shift by 15 % of the picture, or a tilt by 9 degrees."""

TILT_SCALE_DEG = 60.0

MAX_EDGE_PX = 5.0
"""An edge of the board wider than this is blurred; grows with pictures wider than 1500 pixels."""

MIN_TILT_RANGE_DEG = 20.0
TILTED_DEG = 12.0
"""A view tilted by this much counts as tilted."""
MIN_TILTED_SHARE = 0.25


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class View:
    """One picture of the board.

    Attributes:
        name: where it comes from, e.g. a file name.
        found: the corners.
        size_px: (width, height) of the picture.
        edge_px: how wide a black-white edge is, in pixels; about 2 when sharp.
        place: (x, y, size) as shares of the picture.
        tilt_deg: of the board about its vertical and its horizontal axis, roughly.
    """

    name: str
    found: Found
    size_px: tuple[int, int]
    edge_px: float
    place: tuple[float, float, float]
    tilt_deg: tuple[float, float]

    @property
    def sharp(self) -> bool:
        """Whether the edges are as narrow as they should be."""
        return self.edge_px <= max(MAX_EDGE_PX, self.size_px[0] / 300)


def make_view(name: str, grey: Grey, found: Found) -> View:
    """Describe a picture in which a board was found."""
    height, width = grey.shape
    hull = cv2.convexHull(found.points)
    centre = found.points.mean(axis=0)
    size = math.sqrt(cv2.contourArea(hull) / (width * height))
    return View(
        name=name,
        found=found,
        size_px=(width, height),
        edge_px=edge_width_px(grey, found),
        place=(float(centre[0]) / width, float(centre[1]) / height, size),
        tilt_deg=_tilt_deg(found, width, height),
    )


def edge_width_px(grey: Grey, found: Found) -> float:
    """Width of the board's edges: contrast over steepest slope, in the worse of x and y.

    Motion blurs one direction only, so the worse one counts.
    """
    half = max(2, int(0.35 * float(np.median(spacings_px(found.points)))))
    widths = []
    for x, y in np.rint(found.points).astype(int):
        if not (half <= x < grey.shape[1] - half and half <= y < grey.shape[0] - half):
            continue
        patch = grey[y - half : y + half + 1, x - half : x + half + 1].astype(np.float64)
        contrast = float(np.percentile(patch, 95) - np.percentile(patch, 5))
        slopes = (float(np.abs(np.diff(patch, axis=axis)).max()) for axis in (0, 1))
        widths.append(contrast / max(min(slopes), 1e-6))
    return float(np.median(widths)) if widths else math.inf


def novelty(view: View, kept: Sequence[View]) -> float:
    """How much a view differs from the most similar one kept; infinite when there is none."""
    return min((_apart(view, other) for other in kept), default=math.inf)


def distinct(views: Sequence[View]) -> list[View]:
    """Keep, in order, each view that is unlike all kept before."""
    kept: list[View] = []
    for view in views:
        if novelty(view, kept) >= MIN_NOVELTY:
            kept.append(view)
    return kept


def covered(views: Sequence[View]) -> NDArray[np.bool_]:
    """Which cells of the picture hold a corner in some view: bool [GRID[1], GRID[0]]."""
    cells = np.zeros((GRID[1], GRID[0]), dtype=bool)
    for view in views:
        share = view.found.points / np.array(view.size_px)
        across, down = np.clip((share * GRID).astype(int), 0, np.array(GRID) - 1).T
        cells[down, across] = True
    return cells


def coverage(views: Sequence[View]) -> float:
    """Share of the picture's cells that hold a corner in some view, 0..1."""
    return float(covered(views).mean())


def tilted_enough(views: Sequence[View]) -> bool:
    """Whether the board was tilted often, and in differing ways."""
    tilts = np.array([v.tilt_deg for v in views]).reshape(-1, 2)
    if len(tilts) == 0:
        return False
    often = np.mean(np.abs(tilts).max(axis=1) >= TILTED_DEG) >= MIN_TILTED_SHARE
    return bool(often and np.ptp(tilts, axis=0).max() >= MIN_TILT_RANGE_DEG)


def next_hint(views: Sequence[View]) -> str:
    """What to do next with the board, in a few words."""
    if not views:
        return "hold the whole board into the picture"
    if len(views) >= 4 and not tilted_enough(views):
        return "tilt the board: left, right, up, down, by about 30 degrees"
    cells = covered(views)
    if cells.all():
        return "some more: near, far, tilted"
    thirds = {
        f"{v} {h}": cells[rows, columns]
        for v, rows in (("upper", slice(0, 2)), ("middle", slice(2, 4)), ("lower", slice(4, 6)))
        for h, columns in (("left", slice(0, 3)), ("centre", slice(3, 5)), ("right", slice(5, 8)))
    }
    emptiest = min(thirds, key=lambda name: float(thirds[name].mean()))
    return f"move the board to the {emptiest}"


def _apart(a: View, b: View) -> float:
    place = sum(abs(p - q) for p, q in zip(a.place, b.place, strict=True))
    tilt = sum(abs(p - q) for p, q in zip(a.tilt_deg, b.tilt_deg, strict=True))
    return place + tilt / TILT_SCALE_DEG


def _tilt_deg(found: Found, width: int, height: int) -> tuple[float, float]:
    """Tilt with a guessed lens: only good for telling views apart."""
    guess = np.array([[0.9 * width, 0, width / 2], [0, 0.9 * width, height / 2], [0, 0, 1]], np.float64)
    there, rotation, _ = cv2.solvePnP(found.on_board, found.points, guess, None, flags=cv2.SOLVEPNP_IPPE)
    if not there:
        return (0.0, 0.0)
    normal = cv2.Rodrigues(rotation)[0][:, 2]
    towards = math.copysign(1.0, normal[2])
    return (
        math.degrees(math.atan2(towards * normal[0], abs(normal[2]))),
        math.degrees(math.atan2(towards * normal[1], abs(normal[2]))),
    )
