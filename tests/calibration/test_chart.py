from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_avs.calibration.chart import BAND, BLUE, RED, Chart, Panel, save_png, ticks
from stream_avs.errors import ConfigError


@given(low=st.floats(-1e4, 1e4), span=st.floats(1e-3, 1e4))
def test_ticks_are_round_even_and_inside(low: float, span: float) -> None:
    values = ticks(low, low + span)
    assert 3 <= len(values) <= 13
    assert low - 1e-6 * span <= values[0]
    assert values[-1] <= low + span * (1 + 1e-6)
    steps = np.diff(values)
    assert steps == pytest.approx(np.full(len(steps), steps[0]), rel=1e-4)
    assert f"{steps[0]:.0e}"[0] in "125"


def panel(y_range: tuple[float, float] = (0.0, 1.0)) -> tuple[Chart, Panel]:
    chart = Chart(300, 200, "title", "subtitle")
    return chart, Panel(chart, (50, 50, 250, 150), (0.0, 10.0), y_range, "x", "y")


def test_points_land_where_they_belong() -> None:
    chart, axes = panel()
    axes.points([5.0, 20.0], [0.25, 0.5])
    assert tuple(chart.image[125, 150]) == BLUE
    downwards, axes = panel((1.0, 0.0))
    axes.points([5.0], [0.25])
    assert tuple(downwards.image[75, 150]) == BLUE


def test_lines_bars_and_bands() -> None:
    chart, axes = panel()
    axes.band(2.0, 4.0, upright=True)
    axes.line([0.0, 10.0], [0.5, 0.5])
    axes.bars([8.0], [-3.0], [5.0], RED)
    assert tuple(chart.image[122, 103]) == BAND
    assert tuple(chart.image[122, 63]) == (255, 255, 255)
    assert tuple(chart.image[100, 70]) == RED
    assert chart.image[140, 210, 1] < 200  # the bar, cut off at the panel's edge
    assert (chart.image[155:158, 210] == 255).all()


def test_an_empty_span_is_widened() -> None:
    chart = Chart(300, 200, "one value")
    Panel(chart, (50, 50, 250, 150), (3.0, 3.0), (0.0, 0.0), "x", "y").points([3.0], [0.0])
    assert tuple(chart.image[100, 150]) == BLUE


def test_png_keeps_colours(tmp_path: Path) -> None:
    chart, axes = panel()
    axes.points([5.0], [0.5])
    chart.save(tmp_path / "new folder" / "chart.png")
    back = cv2.cvtColor(cv2.imread(str(tmp_path / "new folder" / "chart.png")), cv2.COLOR_BGR2RGB)
    assert (back == chart.image).all()
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write"):
        save_png(tmp_path / "file" / "chart.png", chart.image)
