"""Whole objects sound, not parts of them: what the trunk says, averaged over each connected object."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

LARGE = 0.004
"""Objects of at least this share of the picture are compared with one another."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectRule:
    """Which objects stay.

    Attributes:
        least: mean residual under which an object does not sound.
        gap: an object whose mean residual is this much below the best large one of its class does not.
        smallest: share of the picture under which an object is left out.
    """

    least: float = -6.0
    gap: float = 3.0
    smallest: float = 0.002


def keep_objects(
    mask: NDArray[np.uint8], residual: NDArray[np.float32], rule: ObjectRule
) -> NDArray[np.uint8]:
    """Remove the objects that do not sound.

    Args:
        mask: uint8 [h, w], class ids on which eye and ear agree.
        residual: float32 [h, w], the trunk's mask, logits.
        rule: see `ObjectRule`.

    Returns:
        uint8 [h, w], a part of `mask`.
    """
    kept = np.zeros_like(mask)
    for class_id in np.unique(mask[mask > 0]):
        count, labels, stats, _ = cv2.connectedComponentsWithStats((mask == class_id).astype(np.uint8))
        area = np.maximum(stats[:, cv2.CC_STAT_AREA], 1)
        said = np.bincount(labels.ravel(), residual.ravel(), count) / area
        share = area / mask.size
        large = [float(said[k]) for k in range(1, count) if share[k] >= LARGE]
        best = max(large, default=-np.inf)
        for k in range(1, count):
            if share[k] >= rule.smallest and said[k] >= rule.least and said[k] >= best - rule.gap:
                kept[labels == k] = class_id
    return kept
