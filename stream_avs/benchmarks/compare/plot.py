"""The results as one picture: a column per measure, a row per entry; dots are runs, bars mean and spread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from stream_avs.benchmarks.compare.aggregate import by_seed, spread
from stream_avs.benchmarks.compare.entries import ENTRIES, Group
from stream_avs.benchmarks.compare.results import METRICS, Metric, Results
from stream_avs.errors import PublishError

_ROW_PX, _LEFT_PX, _COLUMN_PX, _GAP_PX, _TOP_PX = 30, 330, 130, 34, 54
_INK, _GRID, _DOT = (40, 40, 40), (225, 225, 225), (150, 150, 150)  # BGR
_BAR = {Group.NETWORK: (180, 110, 30), Group.COMPONENT: (60, 140, 60)}


def plot_results(results: Results, path: Path) -> None:
    """Draw every metric and the processor time of one mask.

    Raises:
        PublishError: the file cannot be written.
    """
    ok, png = cv2.imencode(".png", draw_results(results))
    try:
        path.write_bytes(png.tobytes() if ok else b"")
    except OSError as error:
        raise PublishError(f"cannot write {path}: {error.strerror}", "Choose another --plot file") from None


def draw_results(results: Results) -> np.ndarray:
    """The picture, uint8 [h, w, 3], BGR."""
    rows = [entry for entry in ENTRIES.values() if any(run.entry == entry.name for run in results.runs)]
    columns: list[tuple[str, list[list[float]]]] = [
        (_title(metric), [_shown(results, entry.name, metric) for entry in rows]) for metric in METRICS
    ]
    costs = {cost.entry: cost.cpu_ms for cost in results.costs}
    if costs:
        columns.append(("CPU ms per mask", [[costs[e.name]] if e.name in costs else [] for e in rows]))
    height, width = _TOP_PX + _ROW_PX * len(rows) + 40, _LEFT_PX + len(columns) * (_COLUMN_PX + _GAP_PX)
    canvas = np.full((height, width, 3), 255, np.uint8)
    for row, entry in enumerate(rows):
        _text(canvas, entry.title, 12, _TOP_PX + row * _ROW_PX + 20)
    for k, (title, values) in enumerate(columns):
        _column(canvas, _LEFT_PX + k * (_COLUMN_PX + _GAP_PX), title, values, [_BAR[e.group] for e in rows])
    return canvas


def _column(
    canvas: np.ndarray,
    left: int,
    title: str,
    values: Sequence[Sequence[float]],
    colours: Sequence[tuple[int, ...]],
) -> None:
    """One measure: from zero to its largest value."""
    most = max((v for row in values for v in row), default=0.0) or 1.0
    bottom = _TOP_PX + _ROW_PX * len(values)

    def at(value: float) -> int:
        return left + round(_COLUMN_PX * max(0.0, min(value / most, 1.0)))

    _text(canvas, title, left, 22)
    for share in (0.0, 0.5, 1.0):
        cv2.line(canvas, (at(share * most), _TOP_PX - 6), (at(share * most), bottom), _GRID, 1)
        _text(canvas, f"{share * most:.3g}", at(share * most) - 8, bottom + 16, 0.36)
    for row, (runs, colour) in enumerate(zip(values, colours, strict=True)):
        middle, summed = _TOP_PX + row * _ROW_PX + _ROW_PX // 2, spread(runs)
        if not summed.n:
            continue
        cv2.rectangle(canvas, (left, middle - 6), (at(summed.mean), middle + 6), colour, -1)
        for value in runs:
            cv2.circle(canvas, (at(value), middle), 3, _DOT, -1, cv2.LINE_AA)
        if not math.isnan(summed.sd):
            low, high = at(summed.mean - summed.sd), at(summed.mean + summed.sd)
            cv2.line(canvas, (low, middle), (high, middle), _INK, 1)
            for x in (low, high):
                cv2.line(canvas, (x, middle - 4), (x, middle + 4), _INK, 1)


def _shown(results: Results, entry: str, metric: Metric) -> list[float]:
    scale = 1.0 if metric.unit else 100.0
    return [scale * v for v in by_seed(results.runs, entry, metric.key).values() if not math.isnan(v)]


def _title(metric: Metric) -> str:
    return f"{metric.title} ({metric.unit or '%'})"


def _text(canvas: np.ndarray, text: str, x: int, y: int, size: float = 0.45) -> None:
    cv2.putText(canvas, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, _INK, 1, cv2.LINE_AA)
