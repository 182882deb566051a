"""Camera intrinsics from views of a board: solve, leave out views that do not fit, judge, or refuse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stream_avs.calibration.boards import Found
from stream_avs.calibration.camera_info import CameraInfo, check_camera_name, projection_of
from stream_avs.calibration.errors import CalibrationError
from stream_avs.calibration.lens import LensModel, Solution, fisheye_focal_error, solve
from stream_avs.calibration.views import View, coverage, distinct, tilted_enough
from stream_avs.config import require

OUTLIER_FACTOR = 3.0
OUTLIER_PX = 0.3
"""A view is left out if its RMS error is over 3 times the median one, and over this."""

STRAY_FACTOR = 5.0
STRAY_PX = 0.5
"""A corner is left out if its error is over 5 times the median one, and over this."""

STRAY_ROUNDS = 4
"""In each round the worst corners of each view go, and what is left is fitted again."""

MIN_CORNERS = 6

MAX_DROPPED_SHARE = 0.34
"""When more views than this do not fit, the model is wrong, not the views."""

HOW_TO = "Move the board to all parts of the picture, near and far, tilted each way, and hold it still"


@dataclass(frozen=True, kw_only=True)
class IntrinsicsConfig:
    """The lens model, and what makes a result trustworthy."""

    model: LensModel = LensModel.PLUMB_BOB
    """plumb_bob for most lenses, rational_polynomial for wide ones, equidistant for fisheyes."""
    third_radial: bool = False
    """Fit k3 of plumb_bob too; ROS's own calibrator leaves it at zero as well."""
    min_views: int = 10
    """Fewest views, after blurred, similar and ill-fitting ones are left out."""
    min_coverage: float = 0.5
    """Smallest share of the picture in which corners must have been seen."""
    max_rms_px: float = 1.0
    """Largest RMS reprojection error to accept."""
    max_focal_error: float = 0.005
    """Largest standard error of the focal length, as a share of it, to accept."""

    def __post_init__(self) -> None:
        require(4 <= self.min_views <= 1000, "lens.min_views", self.min_views, "4..1000")
        require(0 <= self.min_coverage <= 1, "lens.min_coverage", self.min_coverage, "0..1")
        require(0 < self.max_rms_px <= 100, "lens.max_rms_px", self.max_rms_px, "(0, 100] pixels")
        require(0 < self.max_focal_error <= 1, "lens.max_focal_error", self.max_focal_error, "(0, 1]")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Intrinsics:
    """A calibrated camera and how good it is.

    Attributes:
        info: the intrinsics.
        rms_px: RMS reprojection error over all corners of the used views.
        focal_error: standard error of the focal length as a share of it.
        coverage: share of the picture in which corners were seen, 0..1.
        views: used views.
        view_rms_px: RMS reprojection error of each.
        dropped: (view, reason) of those left out.
    """

    info: CameraInfo
    rms_px: float
    focal_error: float
    coverage: float
    views: tuple[View, ...]
    view_rms_px: tuple[float, ...]
    dropped: tuple[tuple[View, str], ...]


def calibrate_camera(
    views: Sequence[View], camera_name: str, config: IntrinsicsConfig | None = None
) -> Intrinsics:
    """Determine the intrinsics.

    Args:
        views: of one board, all of the same picture size.
        camera_name: letters, digits and _.
        config: model and limits.

    Raises:
        ConfigError: a camera name ROS would refuse.
        CalibrationError: too few, too blurred or too similar views, too little of the picture covered,
            too large an error or uncertainty; says which, and what to do.
    """
    config = config or IntrinsicsConfig()
    require(check_camera_name(camera_name), "camera_name", camera_name, "letters, digits and _ only")
    used, dropped = _select(views, config)
    solution = _fit(used, config)
    for _ in range(STRAY_ROUNDS):
        cleaned = _without_stray_corners(used, solution)
        if cleaned == used:
            break
        used, solution = cleaned, _fit(cleaned, config)
    while (worst := _outliers(solution.view_rms_px)).any():
        dropped += [
            (v, f"error {e:.2f} px")
            for v, e, is_out in zip(used, solution.view_rms_px, worst, strict=True)
            if is_out
        ]
        used = [v for v, is_out in zip(used, worst, strict=True) if not is_out]
        ill_fitting = sum(reason.startswith("error") for _, reason in dropped)
        if len(used) < config.min_views or ill_fitting > MAX_DROPPED_SHARE * (len(used) + ill_fitting):
            raise CalibrationError(
                f"{ill_fitting} views do not fit, {len(used)} are left, {config.min_views} are needed",
                "Check the board's settings and that it is flat; try another --lens.model",
            )
        solution = _fit(used, config)
    result = _result(used, dropped, solution, camera_name, config)
    _judge(result, config)
    return result


def _select(views: Sequence[View], config: IntrinsicsConfig) -> tuple[list[View], list[tuple[View, str]]]:
    if len({v.size_px for v in views}) > 1:
        sizes = ", ".join(sorted(f"{w}x{h} ({n})" for (w, h), n in _first_of_each_size(views).items()))
        raise CalibrationError(f"pictures of different sizes: {sizes}", "Give pictures of one camera mode")
    sharp = [v for v in views if v.sharp]
    kept = distinct(sharp)
    need = config.min_views
    if len(views) < need:
        raise CalibrationError(f"the board was found in {len(views)} views, {need} are needed", HOW_TO)
    if len(sharp) < need:
        raise CalibrationError(
            f"of {len(views)} views {len(sharp)} are sharp, {need} are needed",
            "Use more light and hold the board still; check the focus",
        )
    if len(kept) < need:
        raise CalibrationError(
            f"of {len(sharp)} sharp views {len(kept)} differ from each other, {need} are needed", HOW_TO
        )
    share = coverage(kept)
    if share < config.min_coverage:
        raise CalibrationError(
            f"corners were seen in {share:.0%} of the picture, {config.min_coverage:.0%} are needed", HOW_TO
        )
    if not tilted_enough(kept):
        raise CalibrationError("the board always faces the camera", "Tilt it by about 30 degrees each way")
    dropped = [(v, f"blurred, edges {v.edge_px:.1f} px") for v in views if not v.sharp]
    dropped += [(v, "like another view") for v in sharp if v not in kept]
    return kept, dropped


def _first_of_each_size(views: Sequence[View]) -> dict[tuple[int, int], str]:
    return {v.size_px: v.name for v in reversed(views)}


def _fit(views: Sequence[View], config: IntrinsicsConfig) -> Solution:
    return solve(views, config.model, third_radial=config.third_radial)


def _without_stray_corners(views: Sequence[View], solution: Solution) -> list[View]:
    """Leave out single corners that were misplaced, as in the squeezed margin of a fisheye picture."""
    limit = max(STRAY_PX, STRAY_FACTOR * float(np.median(np.concatenate(solution.errors_px))))
    cleaned = []
    for view, errors in zip(views, solution.errors_px, strict=True):
        # One bad corner pulls its whole view; the others may be good once it is gone.
        good = errors <= max(limit, 0.5 * float(errors.max()))
        if not good.all() and good.sum() >= max(MIN_CORNERS, len(good) // 2):
            found = view.found
            found = Found(ids=found.ids[good], points=found.points[good], on_board=found.on_board[good])
            view = replace(view, found=found)
        cleaned.append(view)
    return cleaned


def _outliers(view_rms_px: NDArray[np.float64]) -> NDArray[np.bool_]:
    return view_rms_px > max(OUTLIER_PX, OUTLIER_FACTOR * float(np.median(view_rms_px)))


def _result(
    used: Sequence[View],
    dropped: Sequence[tuple[View, str]],
    solution: Solution,
    camera_name: str,
    config: IntrinsicsConfig,
) -> Intrinsics:
    k = tuple(float(x) for x in solution.camera_matrix.ravel())
    focal_error = solution.focal_error
    width, height = used[0].size_px
    info = CameraInfo(
        camera_name=camera_name,
        width_px=width,
        height_px=height,
        distortion_model=config.model.value,
        distortion=tuple(float(x) for x in solution.distortion),
        camera_matrix=k,
        projection=projection_of(k),
    )
    return Intrinsics(
        info=info,
        rms_px=solution.rms_px,
        focal_error=fisheye_focal_error(used) if focal_error is None else focal_error,
        coverage=coverage(used),
        views=tuple(used),
        view_rms_px=tuple(float(e) for e in solution.view_rms_px),
        dropped=tuple(dropped),
    )


def _judge(result: Intrinsics, config: IntrinsicsConfig) -> None:
    k, info = result.info.camera_matrix, result.info
    if not np.isfinite([*k, *info.distortion, result.rms_px]).all() or min(k[0], k[4]) <= 0:
        raise CalibrationError("the solution is no camera", "Check the board's settings; record other views")
    if result.rms_px > config.max_rms_px:
        raise CalibrationError(
            f"the RMS reprojection error is {result.rms_px:.2f} px, at most {config.max_rms_px:g} is allowed",
            "Check that the board is flat and its settings are right; try another --lens.model",
        )
    if result.focal_error > config.max_focal_error:
        raise CalibrationError(
            f"the focal length {k[0]:.0f} px is uncertain by {result.focal_error:.2%}, at most "
            f"{config.max_focal_error:.2%} are allowed",
            HOW_TO,
        )
    if not (0 <= k[2] <= info.width_px and 0 <= k[5] <= info.height_px):
        raise CalibrationError(
            f"the principal point ({k[2]:.0f}, {k[5]:.0f}) lies outside the picture", HOW_TO
        )
