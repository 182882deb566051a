"""A calibrated camera as a picture: where corners were seen, and how well each view fits."""

from __future__ import annotations

import numpy as np

from stream_avs.calibration.chart import BLUE, GREY, RED, Chart, Panel
from stream_avs.calibration.intrinsics import Intrinsics
from stream_avs.calibration.views import GRID, covered

COVERED = (222, 240, 222)


def draw_intrinsics(result: Intrinsics, title: str) -> Chart:
    """Draw the corners over the picture's area, cells without corners left white, and the errors."""
    info = result.info
    k = info.camera_matrix
    chart = Chart(
        1240,
        640,
        f"{info.camera_name}: fx {k[0]:.1f}, fy {k[4]:.1f}, cx {k[2]:.1f}, cy {k[5]:.1f} px; "
        f"RMS error {result.rms_px:.2f} px",
        f"{title}; {len(result.views)} views, {len(result.dropped)} left out; corners in "
        f"{result.coverage:.0%} of the picture; focal length to {result.focal_error:.2%}",
    )
    _draw_corners(chart, result)
    _draw_errors(chart, result)
    return chart


def _draw_corners(chart: Chart, result: Intrinsics) -> None:
    width, height = result.info.width_px, result.info.height_px
    scale = min(600 / width, 440 / height)
    box = (70, 120, 70 + round(width * scale), 120 + round(height * scale))
    panel = Panel(chart, box, (0.0, width), (float(height), 0.0), "x, px", "y, px: corners of all used views")
    for row, column in np.argwhere(covered(result.views)):
        x0, y0 = column * width / GRID[0], row * height / GRID[1]
        panel.rectangle(x0, y0, x0 + width / GRID[0], y0 + height / GRID[1], COVERED)
    for view, error_px in zip(result.views, result.view_rms_px, strict=True):
        colour = RED if error_px > 2 * result.rms_px else BLUE
        panel.points(view.found.points[:, 0], view.found.points[:, 1], colour, 2.0)


def _draw_errors(chart: Chart, result: Intrinsics) -> None:
    errors = np.array(result.view_rms_px)
    top = 1.2 * float(errors.max())
    panel = Panel(
        chart, (770, 120, 1200, 560), (0.0, len(errors) + 1.0), (0.0, top), "used view", "RMS error, px"
    )
    numbers = np.arange(1, len(errors) + 1)
    panel.bars(numbers, np.zeros_like(errors), errors, GREY)
    panel.points(numbers, errors, BLUE, 4.0)
    panel.line([0.0, len(errors) + 1.0], [result.rms_px, result.rms_px], RED)
