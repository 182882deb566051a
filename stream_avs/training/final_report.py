"""What a run came to: report.json for programs, report.html with curves and pictures for people."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stream_avs.training.pictures import data_url, sheet
from stream_avs.training.scoring import Scored

_WIDTH, _HEIGHT, _MARGIN = 640, 180, 40
_SMOOTH = 0.02  # of the curve's length


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What the report is about.

    Attributes:
        title: one line.
        settings: name -> value, as text.
        scored: splits in the order to show them; pictures are the last one's.
        history: entries of the run's log.
        config: all settings, plain values.
    """

    title: str
    settings: dict[str, str]
    scored: Sequence[Scored]
    history: Sequence[dict[str, Any]]
    config: dict[str, Any]


def to_json(summary: Summary) -> str:
    """The scores with everything they depend on, and the settings."""
    content = {
        "title": summary.title,
        "settings": summary.settings,
        "reports": [json.loads(scored.report.to_json()) for scored in summary.scored],
        "config": summary.config,
    }
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def to_html(summary: Summary) -> str:
    """A page that stands alone: no file, script or network beside it."""
    parts = [
        f"<h1>{html.escape(summary.title)}</h1>",
        _table(summary.settings),
        *(_scores(scored) for scored in summary.scored),
        _curve(summary.history, "loss", "training loss"),
        _curve(summary.history, "val_j", "J on val"),
        *(_pictures(scored) for scored in summary.scored[-1:]),
    ]
    return _PAGE.format(title=html.escape(summary.title), body="\n".join(p for p in parts if p))


def _scores(scored: Scored) -> str:
    report = scored.report
    scores = {name: _number(value) for name, value in report.scores.items()}
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in report.notes)
    return f"<h2>{html.escape(report.title)}</h2>{_table(scores)}{notes}"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}".removesuffix(".0000")


def _pictures(scored: Scored) -> str:
    if not scored.examples:
        return ""
    figures = "".join(
        f'<figure><img src="{data_url(sheet(e))}" alt="">'
        f"<figcaption>{html.escape(e.name)}</figcaption></figure>"
        for e in scored.examples
    )
    report = scored.report
    return (
        f"<h2>{html.escape(report.dataset)} {html.escape(report.split)}: frame, truth, prediction</h2>"
        f'<div class="sheets">{figures}</div>'
    )


def _table(rows: dict[str, str]) -> str:
    cells = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in rows.items()
    )
    return f"<table>{cells}</table>"


def _curve(history: Sequence[dict[str, Any]], key: str, title: str) -> str:
    """One curve as SVG, averaged over a fiftieth of its length."""
    points = [(float(e["step"]), float(e[key])) for e in history if key in e]
    if len(points) < 2:
        return ""
    points = _smoothed(points, max(1, round(len(points) * _SMOOTH)))
    (x0, x1), (y0, y1) = ((min(v), max(v)) for v in zip(*points, strict=True))
    across, up = (_WIDTH - 2 * _MARGIN) / (x1 - x0 or 1), (_HEIGHT - _MARGIN) / (y1 - y0 or 1)
    path = " ".join(
        f"{_MARGIN + (x - x0) * across:.1f},{_HEIGHT - _MARGIN / 2 - (y - y0) * up:.1f}" for x, y in points
    )
    labels = (
        f'<text x="2" y="{_MARGIN / 2 + 4}">{y1:.3g}</text>'
        f'<text x="2" y="{_HEIGHT - _MARGIN / 2}">{y0:.3g}</text>'
        f'<text x="{_WIDTH - _MARGIN}" y="{_HEIGHT - 2}" text-anchor="end">step {x1:.0f}</text>'
    )
    return (
        f"<h2>{html.escape(title)}</h2>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}"><polyline points="{path}"/>{labels}</svg>'
    )


def _smoothed(points: list[tuple[float, float]], span: int) -> list[tuple[float, float]]:
    """Means of `span` points at a time."""
    groups = [points[k : k + span] for k in range(0, len(points), span)]
    return [(group[-1][0], sum(y for _, y in group) / len(group)) for group in groups]


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.45 system-ui, sans-serif; color: #1b1f24 }}
body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
h1 {{ font-size: 1.4rem }} h2 {{ font-size: 1.05rem; margin-top: 2rem }}
table {{ border-collapse: collapse }}
th, td {{ text-align: left; padding: .15rem 1rem .15rem 0; border-bottom: 1px solid #e3e6ea }}
th {{ font-weight: normal; color: #57606a }} td {{ font-variant-numeric: tabular-nums }}
svg polyline {{ fill: none; stroke: #0072b2; stroke-width: 1.5 }}
svg text {{ font-size: 11px; fill: #57606a }}
.sheets {{ display: flex; flex-wrap: wrap; gap: 1rem }} figure {{ margin: 0 }}
img {{ image-rendering: pixelated; min-width: 14rem; max-width: 100% }}
figcaption {{ color: #57606a; font-size: .8rem }}
</style></head><body>
{body}
</body></html>
"""
