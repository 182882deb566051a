"""Calibration boards: ChArUco and checkerboard, drawn and found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_avs.calibration.opencv import cv2
from stream_avs.config import require
from stream_avs.errors import ConfigError, nearest
from stream_avs.types import Image

Grey = NDArray[np.uint8]
Points2 = NDArray[np.float32]
Points3 = NDArray[np.float32]


CHECKER_CLEAR_SHARE = 0.5
"""Around the corners of a checkerboard there is nothing else up to half the way to the next."""


class BoardKind(StrEnum):
    """What is printed on the board."""

    CHARUCO = "charuco"  # may be partly hidden or outside the picture
    CHECKERBOARD = "checkerboard"  # must be seen as a whole


@dataclass(frozen=True, kw_only=True)
class BoardConfig:
    """The board; lengths as measured on the print."""

    kind: BoardKind = BoardKind.CHARUCO
    """charuco, which may be partly out of the picture, or checkerboard."""
    columns: int = 9
    """Squares across. (ROS's cameracalibrator counts inner corners, which is one less.)"""
    rows: int = 6
    """Squares down."""
    square_mm: float = 25.0
    """Side of a square."""
    marker_mm: float = 18.0
    """Side of a marker; charuco only."""
    dictionary: str = "DICT_5X5_100"
    """Marker dictionary of OpenCV; charuco only."""
    legacy_pattern: bool = False
    """For boards printed by OpenCV before 4.6 with an even number of rows; charuco only."""

    def __post_init__(self) -> None:
        require(3 <= self.columns <= 40, "board.columns", self.columns, "3..40 squares")
        require(3 <= self.rows <= 40, "board.rows", self.rows, "3..40 squares")
        require(0 < self.square_mm <= 10_000, "board.square_mm", self.square_mm, "(0, 10000] mm")
        if self.kind is BoardKind.CHECKERBOARD:
            return
        require(
            0.4 * self.square_mm <= self.marker_mm < self.square_mm,
            "board.marker_mm", self.marker_mm, "less than square_mm, and at least 0.4 of it",
        )  # fmt: skip
        names = [n for n in dir(cv2.aruco) if n.startswith("DICT_")]
        if self.dictionary not in names:
            raise ConfigError(
                f"setting board.dictionary is {self.dictionary!r}", nearest(self.dictionary, names)
            )
        held = len(_dictionary(self).bytesList)
        needed = self.columns * self.rows // 2
        require(
            needed <= held, "board.dictionary", self.dictionary,
            f"one with at least {needed} markers for {self.columns}x{self.rows} squares; it has {held}",
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Found:
    """The board in one picture.

    Attributes:
        ids: int64 [n], number of each inner corner, row by row.
        points: float32 [n, 2], where they are, in pixels.
        on_board: float32 [n, 3], where they are on the board, in mm; z is 0.
    """

    ids: NDArray[np.int64]
    points: Points2
    on_board: Points3


class BoardFinder:
    """Finds one kind of board in pictures; keeps its detector between them."""

    def __init__(self, config: BoardConfig) -> None:
        self._config = config
        self._inner = (config.columns - 1, config.rows - 1)
        self.corners = self._inner[0] * self._inner[1]
        """How many inner corners the board has."""
        if config.kind is BoardKind.CHARUCO:
            self._detector = cv2.aruco.CharucoDetector(_charuco(config))

    def find(self, grey: Grey) -> Found | None:
        """Find the board in a grey picture, uint8 [H, W]; None if it is not there.

        A ChArUco board counts from 6 corners on that do not all lie on one line.
        """
        if self._config.kind is BoardKind.CHARUCO:
            return self._find_charuco(grey)
        there, corners = cv2.findChessboardCornersSB(grey, self._inner)
        if not there:
            return None
        points = _refined(grey, corners.reshape(-1, 2), CHECKER_CLEAR_SHARE)
        return self._found(np.arange(self.corners), points)

    def _find_charuco(self, grey: Grey) -> Found | None:
        corners, ids, _, _ = self._detector.detectBoard(grey)
        if ids is None or len(ids) < 6:
            return None
        # OpenCV up to 4.10 returns these half a pixel off; refined again, all versions agree.
        clear_share = (1 - self._config.marker_mm / self._config.square_mm) / 2
        points = _refined(grey, corners.reshape(-1, 2), clear_share)
        found = self._found(ids.ravel().astype(np.int64), points)
        columns, rows = found.ids % self._inner[0], found.ids // self._inner[0]
        return found if min(len(set(columns)), len(set(rows))) >= 2 else None

    def _found(self, ids: NDArray[np.int64], points: Points2) -> Found:
        across, down = ids % self._inner[0] + 1, ids // self._inner[0] + 1
        flat = np.stack([across, down, np.zeros_like(across)], axis=1) * self._config.square_mm
        return Found(ids=ids, points=points.astype(np.float32), on_board=flat.astype(np.float32))


def spacings_px(points: Points2) -> NDArray[np.float64]:
    """Distance from each corner to its nearest neighbour, float64 [n]."""
    apart = np.linalg.norm(points[:, None].astype(np.float64) - points[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    return np.asarray(apart.min(axis=1))


def _refined(grey: Grey, points: Points2, clear_share: float) -> Points2:
    """Corners to a few hundredths of a pixel.

    Args:
        clear_share: how far around a corner there is nothing else, as a share of the spacing. Beyond
            it lie the markers, whose edges would pull the corner.
    """
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 30, 0.01)
    halves = np.clip(0.75 * clear_share * spacings_px(points), 2, 8).astype(int)
    refined = points.copy()
    for half in np.unique(halves):
        chosen = halves == half
        moved = cv2.cornerSubPix(grey, points[chosen].reshape(-1, 1, 2), (half, half), (-1, -1), stop)
        refined[chosen] = moved.reshape(-1, 2)
    return refined


def draw_board(config: BoardConfig, square_px: int) -> Grey:
    """Draw the board without margin: uint8 [rows * square_px, columns * square_px], 0 black."""
    if config.kind is BoardKind.CHARUCO:
        size = (config.columns * square_px, config.rows * square_px)
        image: Grey = _charuco(config).generateImage(size, marginSize=0, borderBits=1)
        return image
    parity = np.add.outer(np.arange(config.rows), np.arange(config.columns)) % 2
    return np.kron(parity * 255, np.ones((square_px, square_px))).astype(np.uint8)


def to_grey(image: Image) -> Grey:
    """RGB uint8 [H, W, 3] to grey uint8 [H, W]."""
    grey: Grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return grey


def _dictionary(config: BoardConfig) -> Any:
    return cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, config.dictionary))


def _charuco(config: BoardConfig) -> Any:
    board = cv2.aruco.CharucoBoard(
        (config.columns, config.rows), config.square_mm, config.marker_mm, _dictionary(config)
    )
    board.setLegacyPattern(config.legacy_pattern)
    return board
