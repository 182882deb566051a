"""People who stand side by side are one blob to the eye; their heads tell them apart, or that one speaks.

A blob's upper outline rises over every head and falls between them. Where it falls deep enough
between two rises, the blob is cut from top to bottom; where it falls a little, only if the trunk says
of one side that it speaks and of the other that it does not.
"""

from __future__ import annotations

import itertools

import cv2
import numpy as np
from numpy.typing import NDArray

DEEP = 0.16
"""How far the outline falls between two heads, of the blob's height."""
SHALLOW = 0.05
"""The same where one side speaks."""
DIFFERENT = 1.5
"""From this difference of the trunk's mean mask on, in logits, one side speaks and the other does not."""
WIDE = 0.18
"""Least width of a part, of the blob's."""
LARGE = 0.22
"""Least area of a part, of the largest."""
_SMOOTH = 0.04


def split_persons(
    blob: NDArray[np.bool_], residual: NDArray[np.float32] | None = None
) -> list[NDArray[np.bool_]]:
    """Cut one connected blob into persons.

    Args:
        blob: bool [h, w], not empty.
        residual: float32 [h, w], the trunk's mask, logits; None leaves it out.

    Returns:
        Parts that together are the blob; the blob alone if nothing can be told.
    """
    persons = _joined(_cut(blob, _places(blob, DEEP)))
    if residual is None:
        return persons
    return [part for person in persons for part in _by_voice(person, residual)]


def _by_voice(person: NDArray[np.bool_], residual: NDArray[np.float32]) -> list[NDArray[np.bool_]]:
    """Cut once more where the sides differ most in what the trunk says of them, if they do."""
    least = LARGE / (1 + LARGE) * person.sum()
    halves = [_cut(person, [place]) for place in _places(person, SHALLOW)]
    large = [(a, b) for a, b in halves if min(a.sum(), b.sum()) >= least]
    differ = [abs(float(residual[a].mean() - residual[b].mean())) for a, b in large]
    if max(differ, default=0.0) < DIFFERENT:
        return [person]
    return list(large[int(np.argmax(differ))])


def _places(blob: NDArray[np.bool_], deep: float) -> list[int]:
    """Columns at which the outline falls by `deep` of the height between two heads."""
    x, y, width, height = cv2.boundingRect(blob.astype(np.uint8))
    outline = _outline(blob[y : y + height, x : x + width])
    return [x + place for place in _spaced(_valleys(outline, deep * height), width)]


def _cut(blob: NDArray[np.bool_], places: list[int]) -> list[NDArray[np.bool_]]:
    """Parts of the blob between these columns, from left to right."""
    columns = np.arange(blob.shape[1])
    edges = [0, *places, blob.shape[1]]
    return [blob & ((columns >= a) & (columns < b)) for a, b in itertools.pairwise(edges)]


def _outline(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Height of the blob over the bottom of its box, per column, smoothed."""
    height, width = inside.shape
    top = np.where(inside.any(0), height - inside.argmax(0), 0).astype(np.float32)
    side = 2 * int(_SMOOTH * width / 2) + 1
    return np.asarray(cv2.blur(top[None], (side, 1), borderType=cv2.BORDER_REPLICATE)[0], np.float32)


def _valleys(outline: NDArray[np.float32], deep: float) -> list[int]:
    """Columns where the outline is lowest between two rises that stand out by `deep`."""
    cuts = []
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
