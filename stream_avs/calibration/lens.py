"""Solving for one camera with OpenCV: pinhole models and the fisheye, on OpenCV 4 and 5."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_avs.calibration.camera_info import COEFFICIENTS
from stream_avs.calibration.errors import CalibrationError
from stream_avs.calibration.opencv import cv2
from stream_avs.calibration.views import View


class LensModel(StrEnum):
    """Distortion model, by ROS's names."""

    PLUMB_BOB = "plumb_bob"
    RATIONAL_POLYNOMIAL = "rational_polynomial"
    EQUIDISTANT = "equidistant"


SPLITS = 3
"""How often the views are split in halves to learn how sure a fisheye's focal length is."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Solution:
    """What a solver found.

    Attributes:
        camera_matrix: float64 [3, 3].
        distortion: float64 [n], as many as `COEFFICIENTS` says.
        errors_px: per view float64 [corners], distance of each corner from where it should be.
        focal_error: standard error of the focal length as a share of it; None where OpenCV does not
            tell, see `fisheye_focal_error`.
    """

    camera_matrix: NDArray[np.float64]
    distortion: NDArray[np.float64]
    errors_px: tuple[NDArray[np.float64], ...]
    focal_error: float | None

    @property
    def rms_px(self) -> float:
        """RMS reprojection error over all corners."""
        return float(np.sqrt(np.mean(np.concatenate(self.errors_px) ** 2)))

    @property
    def view_rms_px(self) -> NDArray[np.float64]:
        """RMS reprojection error of each view."""
        return np.array([np.sqrt(np.mean(e**2)) for e in self.errors_px])


def solve(views: Sequence[View], model: LensModel, *, third_radial: bool = False) -> Solution:
    """Fit a lens to views of a board.

    Args:
        views: all of one picture size.
        model: the distortion model.
        third_radial: whether plumb_bob's k3 is fitted too.

    Raises:
        CalibrationError: OpenCV finds no solution.
    """
    try:
        if model is LensModel.EQUIDISTANT:
            return _solve_fisheye(views)
        return _solve_pinhole(views, model, third_radial)
    except cv2.error as error:
        raise CalibrationError(
            f"no lens of model {model.value} fits these views ({error.err})",
            "Check the board's settings; try another --lens.model",
        ) from None


def _solve_pinhole(views: Sequence[View], model: LensModel, third_radial: bool) -> Solution:
    rational = model is LensModel.RATIONAL_POLYNOMIAL
    flags = cv2.CALIB_RATIONAL_MODEL if rational else 0 if third_radial else cv2.CALIB_FIX_K3
    _, matrix, distortion, turns, moves, deviations, _, _ = cv2.calibrateCameraExtended(
        [v.found.on_board for v in views],
        [v.found.points.reshape(-1, 1, 2) for v in views],
        views[0].size_px,
        None,
        None,
        flags=flags,
    )
    distortion = distortion.ravel()[: COEFFICIENTS[model.value][0]]
    projected = [
        cv2.projectPoints(v.found.on_board, turn, move, matrix, distortion)[0]
        for v, turn, move in zip(views, turns, moves, strict=True)
    ]
    return Solution(
        camera_matrix=matrix,
        distortion=distortion,
        errors_px=_errors_px(views, projected),
        focal_error=float(max(deviations[0] / matrix[0, 0], deviations[1] / matrix[1, 1]).item()),
    )


def _solve_fisheye(views: Sequence[View]) -> Solution:
    matrix, distortion, turns, moves = _fit_fisheye(views)
    projected = [
        cv2.fisheye.projectPoints(_board(view), turn.ravel(), move.ravel(), matrix, distortion)[0]
        for view, turn, move in zip(views, turns, moves, strict=True)
    ]
    return Solution(
        camera_matrix=matrix,
        distortion=distortion.ravel(),
        errors_px=_errors_px(views, projected),
        focal_error=None,
    )


def _fit_fisheye(views: Sequence[View]) -> tuple[Any, Any, Any, Any]:
    # OpenCV 4 keeps these flags in cv2.fisheye, OpenCV 5 in cv2.
    home = cv2.fisheye if hasattr(cv2.fisheye, "CALIB_FIX_SKEW") else cv2
    flags = home.CALIB_FIX_SKEW | home.CALIB_RECOMPUTE_EXTRINSIC | home.CALIB_USE_INTRINSIC_GUESS
    width, height = views[0].size_px
    # A start from far off can end in a wrong minimum: 2 radians across the picture is a usual fisheye.
    guess = np.array([[width / 2, 0, width / 2], [0, width / 2, height / 2], [0, 0, 1]], np.float64)
    points = [v.found.points.astype(np.float64).reshape(1, -1, 2) for v in views]
    boards = [_board(v) for v in views]
    _, *fitted = cv2.fisheye.calibrate(boards, points, (width, height), guess, np.zeros((4, 1)), flags=flags)
    matrix, distortion, turns, moves = fitted
    return matrix, distortion, turns, moves


def fisheye_focal_error(views: Sequence[View]) -> float:
    """Standard error of a fisheye's focal length, as a share of it, from halves of the views.

    The results of two halves differ by twice the standard error of the whole, in the mean square.
    """
    apart = []
    for seed in range(SPLITS):
        order = np.random.default_rng(seed).permutation(len(views))
        halves = (order[::2], order[1::2])
        first, second = (_fit_fisheye([views[i] for i in half])[0] for half in halves)
        apart.append([(first[i, i] - second[i, i]) / (first[i, i] + second[i, i]) for i in (0, 1)])
    return float(np.sqrt(np.mean(np.square(apart), axis=0)).max())


def _board(view: View) -> NDArray[np.float64]:
    return view.found.on_board.astype(np.float64).reshape(1, -1, 3)


def _errors_px(
    views: Sequence[View], projected: Sequence[NDArray[np.float64]]
) -> tuple[NDArray[np.float64], ...]:
    return tuple(
        np.linalg.norm(p.reshape(-1, 2) - v.found.points, axis=1)
        for v, p in zip(views, projected, strict=True)
    )
