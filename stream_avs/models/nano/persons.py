"""People who stand side by side are one blob to the eye; their heads tell them apart.

A blob's upper outline rises over every head and falls between them. Where it falls deep enough
between two rises, the blob is cut from top to bottom.
"""

from __future__ import annotations

import itertools

import cv2
import numpy as np
from numpy.typing import NDArray

DEEP = 0.16
"""How far the outline falls between two heads, of the blob's height."""
WIDE = 0.18
"""Least width of a part, of the blob's."""
LARGE = 0.22
"""Least area of a part, of the largest."""
_SMOOTH = 0.04


def split_persons(blob: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Cut one connected blob into persons.

    Args:
        blob: bool [h, w], not empty.

    Returns:
        Parts that together are the blob, from left to right; the blob alone if nothing can be told.
    """
    x, y, width, height = cv2.boundingRect(blob.astype(np.uint8))
    inside = blob[y : y + height, x : x + width]
    cuts = _valleys(_outline(inside), height)
    edges = [0, *_spaced(cuts, width), width]
    parts = []
    for left, right in itertools.pairwise(edges):
        part = np.zeros_like(blob)
        part[y : y + height, x + left : x + right] = inside[:, left:right]
        parts.append(part)
    return _joined(parts)


def _outline(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Height of the blob over the bottom of its box, per column, smoothed."""
    height, width = inside.shape
    top = np.where(inside.any(0), height - inside.argmax(0), 0).astype(np.float32)
    side = 2 * int(_SMOOTH * width / 2) + 1
    return np.asarray(cv2.blur(top[None], (side, 1), borderType=cv2.BORDER_REPLICATE)[0], np.float32)


def _valleys(outline: NDArray[np.float32], height: int) -> list[int]:
    """Columns where the outline is lowest between two rises that stand out by `DEEP`."""
    deep, cuts = DEEP * height, []
    peak, low, at = outline[0], outline[0], 0
    falling = False
    for k, value in enumerate(outline):
        if falling and value < low:
            low, at = value, k
        elif falling and value > low + deep:
            cuts.append(at)
            peak, falling = value, False
        elif not falling and value > peak:
            peak = value
        elif not falling and value < peak - deep:
            low, at, falling = value, k, True
    return cuts


def _spaced(cuts: list[int], width: int) -> list[int]:
    kept: list[int] = []
    for cut in cuts:
        if cut - (kept[-1] if kept else 0) >= WIDE * width and width - cut >= WIDE * width:
            kept.append(cut)
    return kept


def _joined(parts: list[NDArray[np.bool_]]) -> list[NDArray[np.bool_]]:
    """Give parts too small for a person to the neighbour on their left, the first to its right one."""
    areas = [int(p.sum()) for p in parts]
    least = LARGE * max(areas)
    result: list[NDArray[np.bool_]] = []
    for part, area in zip(parts, areas, strict=True):
        small_first = len(result) == 1 and int(result[0].sum()) < least
        if result and (area < least or small_first):
            result[-1] = result[-1] | part
        else:
            result.append(part)
    return result
