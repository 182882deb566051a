"""Boards as a camera with known intrinsics sees them: every pixel is traced back to the board."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from stream_avs.calibration.boards import BoardConfig, BoardFinder, Found, draw_board
from stream_avs.calibration.views import View, make_view

SQUARE_PX = 40
SIZE_PX = (640, 480)
SHARPER = 2
"""Each pixel is the mean of so many times so many rays."""


@dataclass(frozen=True, kw_only=True)
class Lens:
    """A camera: focal lengths and principal point in pixels, distortion in OpenCV's order."""

    fx: float = 620.0
    fy: float = 616.0
    cx: float = 322.0
    cy: float = 236.0
    distortion: tuple[float, ...] = (-0.25, 0.08, 0.001, -0.0005, 0.0)
    fisheye: bool = False

    @property
    def matrix(self) -> NDArray[np.float64]:
        """K, float64 [3, 3]."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]])


FISHEYE = Lens(fx=280.0, fy=281.0, distortion=(0.05, -0.01, 0.002, -0.001), fisheye=True)
Pose = tuple[NDArray[np.float64], NDArray[np.float64]]


@cache
def rays(lens: Lens) -> NDArray[np.float64]:
    """Directions of all rays, float64 [n, 3]."""
    width, height = SIZE_PX
    rows, columns = np.mgrid[0 : height * SHARPER, 0 : width * SHARPER]
    pixels = (np.stack([columns, rows], axis=-1).reshape(-1, 1, 2) + 0.5) / SHARPER - 0.5
    undistort = cv2.fisheye.undistortPoints if lens.fisheye else cv2.undistortPoints
    flat = undistort(pixels, lens.matrix, np.array(lens.distortion)).reshape(-1, 2)
    return np.column_stack([flat, np.ones(len(flat))])


def render(
    config: BoardConfig, lens: Lens, pose: Pose, *, blur_px: float = 0.7, noise: float = 3.0
) -> NDArray[np.uint8]:
    """Draw what the camera sees: grey uint8 [H, W]."""
    turn, move = pose
    rotation = cv2.Rodrigues(turn)[0]
    plane = np.column_stack([rotation[:, 0], rotation[:, 1], move])
    hits = rays(lens) @ np.linalg.inv(plane).T
    behind = hits[:, 2] <= 0
    at_mm = hits[:, :2] / np.where(behind, 1, hits[:, 2])[:, None]
    at_px = at_mm * (SQUARE_PX / config.square_mm) + SQUARE_PX - 0.5
    at_px[behind] = -1e4
    board = cv2.copyMakeBorder(
        draw_board(config, SQUARE_PX), *[SQUARE_PX] * 4, cv2.BORDER_CONSTANT, value=255
    )
    width, height = SIZE_PX
    shape = (height * SHARPER, width * SHARPER)
    across, down = (at_px[:, i].astype(np.float32).reshape(shape) for i in (0, 1))
    large = cv2.remap(board, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=110)
    image = cv2.GaussianBlur(cv2.resize(large, SIZE_PX, interpolation=cv2.INTER_AREA), (0, 0), blur_px)
    random = np.random.default_rng(round(float(np.abs(move).sum()) * 1000))
    return np.clip(image + random.normal(0, noise, image.shape), 0, 255).astype(np.uint8)


def poses(
    config: BoardConfig,
    lens: Lens,
    count: int,
    seed: int,
    near: tuple[float, float] = (0.8, 1.8),
    tilt: float = 0.6,
) -> list[Pose]:
    """Poses that put the board's middle anywhere in the picture, tilted by up to `tilt` radians."""
    random = np.random.default_rng(seed)
    width_mm, height_mm = config.columns * config.square_mm, config.rows * config.square_mm
    made = []
    for _ in range(count):
        turn = random.uniform(-tilt, tilt, 3) * (1, 1, 0.4)
        away_mm = lens.fx * width_mm / SIZE_PX[0] * random.uniform(*near)
        u, v = random.uniform(0.15, 0.85, 2) * SIZE_PX
        middle = np.array([(u - lens.cx) / lens.fx, (v - lens.cy) / lens.fy, 1.0]) * away_mm
        move = middle - cv2.Rodrigues(turn)[0] @ (width_mm / 2, height_mm / 2, 0)
        made.append((turn, move))
    return made


def film_views(config: BoardConfig, lens: Lens, some_poses: list[Pose], **how: float) -> list[View]:
    """Render and find the board; pictures in which it is not found are left out."""
    finder = BoardFinder(config)
    views = []
    for number, pose in enumerate(some_poses):
        grey = render(config, lens, pose, **how)
        found = finder.find(grey)
        if found is not None:
            views.append(make_view(f"{number:02d}", grey, found))
    return views


def projected_views(
    config: BoardConfig, lens: Lens, some_poses: list[Pose], noise_px: float = 0.05
) -> list[View]:
    """Views as from pictures, but computed: quick, for what does not depend on how corners are found."""
    columns, rows = config.columns - 1, config.rows - 1
    ids = np.arange(columns * rows)
    flat = np.stack([ids % columns + 1, ids // columns + 1, 0 * ids], axis=1) * config.square_mm
    random = np.random.default_rng(0)
    views = []
    for number, (turn, move) in enumerate(some_poses):
        points, _ = cv2.projectPoints(flat, turn, move, lens.matrix, np.array(lens.distortion))
        points = points.reshape(-1, 2) + random.normal(0, noise_px, (len(ids), 2))
        inside = ((points >= 0) & (points < SIZE_PX)).all(axis=1)
        if inside.sum() >= 12:
            found = Found(
                ids=ids[inside],
                points=points[inside].astype(np.float32),
                on_board=flat[inside].astype(np.float32),
            )
            views.append(make_view(f"{number:02d}", np.zeros(SIZE_PX[::-1], np.uint8), found))
    return views
