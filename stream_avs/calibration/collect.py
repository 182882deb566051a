"""Collecting views of a board: from a folder of pictures, or one by one as they come."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import numpy as np

from stream_avs.calibration.boards import BoardFinder, Found, Grey
from stream_avs.calibration.errors import CalibrationError
from stream_avs.calibration.opencv import cv2
from stream_avs.calibration.views import MIN_NOVELTY, View, coverage, make_view, novelty, tilted_enough
from stream_avs.errors import SourceError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})

MAX_MOTION_PX = 2.0
"""Corners that move more than this between two pictures of a live camera: the board is in motion."""

ENOUGH_VIEWS = 25
ENOUGH_COVERAGE = 0.85


class Outcome(StrEnum):
    """What became of an offered picture."""

    KEPT = "kept"
    NO_BOARD = "no board"
    BLURRED = "blurred"
    MOVING = "hold still"
    ALIKE = "like before"


class ViewCollector:
    """Keeps the pictures that add something.

    Args:
        finder: of the board.
        still: whether the board must rest between two offered pictures; for live cameras.
    """

    def __init__(self, finder: BoardFinder, *, still: bool) -> None:
        self._finder = finder
        self._still = still
        self._last: Found | None = None
        self.views: list[View] = []

    def offer(self, name: str, grey: Grey) -> Outcome:
        """Look for the board in a grey picture, uint8 [H, W], and keep the view if it is worth it."""
        found = self._finder.find(grey)
        last, self._last = self._last, found
        if found is None:
            return Outcome.NO_BOARD
        if self._still and (last is None or _motion_px(last, found) > MAX_MOTION_PX):
            return Outcome.MOVING
        view = make_view(name, grey, found)
        if not view.sharp:
            return Outcome.BLURRED
        if novelty(view, self.views) < MIN_NOVELTY:
            return Outcome.ALIKE
        self.views.append(view)
        return Outcome.KEPT

    @property
    def enough(self) -> bool:
        """Whether more views would hardly add anything."""
        return (
            len(self.views) >= ENOUGH_VIEWS
            and coverage(self.views) >= ENOUGH_COVERAGE
            and tilted_enough(self.views)
        )


def views_of_folder(folder: Path, finder: BoardFinder) -> Iterator[tuple[Path, View | str]]:
    """Yield each picture of a folder, by name, with its view, or with why there is none.

    Raises:
        SourceError: no such folder, or no pictures in it.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder} is no folder", "Give a folder of pictures, or a camera")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise SourceError(
            f"folder {folder} holds no pictures", f"Valid endings: {', '.join(sorted(SUFFIXES))}"
        )
    for path in paths:
        grey = read_grey(path)
        if isinstance(grey, str):
            yield path, grey
            continue
        found = finder.find(grey)
        yield path, "no board" if found is None else make_view(path.name, grey, found)


def read_grey(path: Path) -> Grey | str:
    """Read a picture as uint8 [H, W], not turned by its orientation tag; or say why that failed."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    # The lens does not turn with the tag.
    flags = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        grey = cv2.imdecode(data, flags) if len(data) else None
    except cv2.error:
        grey = None
    return "damaged or no picture" if grey is None else np.asarray(grey, np.uint8)


def require_views(views: list[View], looked_at: int) -> None:
    """Raise CalibrationError, with the likely cause, if the board was never found."""
    if not views:
        raise CalibrationError(
            f"the board was found in none of {looked_at} pictures",
            "Check --board.columns, --board.rows (squares, not corners) and, for charuco, --board.dictionary",
        )


def _motion_px(before: Found, now: Found) -> float:
    _, a, b = np.intersect1d(before.ids, now.ids, return_indices=True)
    if len(a) == 0:
        return float("inf")
    return float(np.median(np.linalg.norm(before.points[a] - now.points[b], axis=1)))
