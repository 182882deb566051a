"""Bars of what one mask costs, ours and naive, as a PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from stream_avs.benchmarks.engine import Result
from stream_avs.errors import PublishError

_ROW_PX, _LEFT_PX, _BARS_PX, _RIGHT_PX = 56, 330, 560, 190
_OURS, _NAIVE, _INK = (180, 110, 30), (170, 170, 170), (40, 40, 40)  # BGR


def plot_engine(results: Sequence[Result], path: Path) -> None:
    """Draw milliseconds per mask, longest bar full width.

    Raises:
        PublishError: the file cannot be written.
    """
    height_px = 60 + _ROW_PX * len(results) + 20
    canvas = np.full((height_px, _LEFT_PX + _BARS_PX + _RIGHT_PX, 3), 255, np.uint8)
    _text(canvas, "ms per mask (median): this engine, and the whole window recomputed", 12, 32)
    most_ms = max(max(r.step.p50_ms / r.batch, r.naive.p50_ms) for r in results)
    for row, r in enumerate(results):
        top = 60 + row * _ROW_PX
        _text(canvas, f"{r.preset} {r.mode} {r.backend} {r.precision} x{r.batch}", 12, top + 24)
        for value_ms, colour, offset, label in (
            (r.step.p50_ms / r.batch, _OURS, 4, f"{r.step.p50_ms / r.batch:.1f} ({r.naive_ratio:.1f}x)"),
            (r.naive.p50_ms, _NAIVE, 24, f"{r.naive.p50_ms:.1f}"),
        ):
            right = _LEFT_PX + max(1, round(_BARS_PX * value_ms / most_ms))
            cv2.rectangle(canvas, (_LEFT_PX, top + offset), (right, top + offset + 16), colour, -1)
            _text(canvas, label, right + 6, top + offset + 13)
    ok, png = cv2.imencode(".png", canvas)
    try:
        path.write_bytes(png.tobytes() if ok else b"")
    except OSError as error:
        raise PublishError(
            f"cannot write {path}: {error.strerror}", "Choose another --engine.plot file"
        ) from None


def _text(canvas: np.ndarray, text: str, x: int, y: int) -> None:
    cv2.putText(canvas, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, _INK, 1, cv2.LINE_AA)
