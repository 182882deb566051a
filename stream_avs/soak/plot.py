"""A soak as a picture: age, masks and drops, memory, files and threads, processors over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from stream_avs.calibration.chart import BLUE, GREY, INK, RED, Chart, Colour, Panel, text
from stream_avs.soak.config import Bounds
from stream_avs.soak.judge import settled
from stream_avs.soak.sample import Sample
from stream_avs.types import FRAME_DROPS

GREEN: Colour = (40, 140, 70)
_WIDTH_PX, _PANEL_PX, _ROW_PX, _TOP_PX = 1100, 150, 235, 120
_LEFT_PX, _RIGHT_PX = 90, 1060

Line = tuple[str, Colour, list[float]]


def plot_soak(samples: Sequence[Sample], bounds: Bounds, path: Path, title: str) -> None:
    """Draw the samples as PNG; the warm-up is tinted.

    Raises:
        ConfigError: the file cannot be written.
    """
    drops = [sum(n for name, n in s.events.items() if name in FRAME_DROPS) for s in samples]
    rows: list[tuple[str, list[Line]]] = [
        ("age, ms", [
            ("p99", RED, [s.age_p99_ms for s in samples]), ("p50", BLUE, [s.age_p50_ms for s in samples]),
        ]),
        ("per second", [
            ("masks", BLUE, [s.masks_per_s for s in samples]),
            ("frames dropped", RED, _per_second(samples, drops)),
        ]),
        ("memory, MB", [
            ("resident", BLUE, [s.resident_mb for s in samples]),
            ("heap", GREEN, [s.heap_mb for s in samples]),
        ]),
        ("count", [
            ("open files", BLUE, [float(s.files) for s in samples]),
            ("threads", GREEN, [float(s.threads) for s in samples]),
        ]),
        ("processors busy", [
            ("all processes", GREY, [s.machine_cores for s in samples]),
            ("session", BLUE, [s.cpu_cores for s in samples]),
        ]),
    ]  # fmt: skip
    chart = Chart(_WIDTH_PX, _TOP_PX + _ROW_PX * len(rows), "Soak", title)
    minutes = [s.at_s / 60 for s in samples]
    warm_from = settled(samples, bounds)[0].at_s / 60 if samples else 0.0
    for row, (label, lines) in enumerate(rows):
        _panel(chart, _TOP_PX + row * _ROW_PX, minutes, warm_from, label, lines)
    chart.save(path)


def _panel(
    chart: Chart, top_px: int, minutes: list[float], warm_from: float, label: str, lines: list[Line]
) -> None:
    most = max((max(values, default=0.0) for _, _, values in lines), default=0.0)
    box = (_LEFT_PX, top_px, _RIGHT_PX, top_px + _PANEL_PX)
    until = max(minutes, default=1.0)
    panel = Panel(chart, box, (0.0, until), (0.0, math.ceil(most * 1.1) or 1.0), "minutes", label)
    panel.band(0.0, warm_from, upright=True, colour=(242, 242, 242))
    at_px = _LEFT_PX + 140
    for name, colour, values in lines:
        if len(minutes) > 1:
            panel.line(minutes, values, colour, 1)
        panel.points(minutes, values, colour, 1.5)
        text(chart.image, name, (at_px, top_px - 12), 0.48, colour if colour != GREY else INK)
        at_px += 160


def _per_second(samples: Sequence[Sample], totals: list[int]) -> list[float]:
    """Rise of a total per second; at the first sample since the start."""
    before = [(0.0, 0), *((s.at_s, n) for s, n in zip(samples, totals, strict=True))]
    return [max(0, n - m) / (now_s - then_s) for (then_s, m), (now_s, n) in pairwise(before)]
