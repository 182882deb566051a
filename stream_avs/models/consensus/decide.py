"""Where seen and heard agree: scores per class and pixel, and the mask they make.

The idea is C3N's cognitive consensus (arXiv 2310.06259): the labels of two classifiers, one for each
sense, meet in one label. Here the meeting happens at every pixel, score = sqrt(seen * heard), so a
class that is surely heard needs little to be seen, and one barely heard must be seen clearly.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from stream_avs.models.base import Decision

ON = 0.5
"""Likelihood from which a class is heard."""
OFF = 0.35
"""Likelihood below which a class that was heard no longer is; under `ON`, so that masks do not flicker."""


def audible(
    likelihood: NDArray[np.float64], ids: NDArray[np.int64], before: frozenset[int]
) -> frozenset[int]:
    """Return the ids of the classes heard now.

    Args:
        likelihood: [classes], 0..1.
        ids: [classes].
        before: ids heard in the window before.
    """
    return frozenset(
        int(i) for i, p in zip(ids, likelihood, strict=True) if p >= (OFF if int(i) in before else ON)
    )


def nothing(shape: tuple[int, int]) -> Decision:
    """Return the decision that nothing visible sounds, with masks of `shape` (h, w)."""
    return Decision(
        mask=np.zeros(shape, np.uint8), confidence=np.zeros(shape, np.uint8), scores={}, sounding_score=0.0
    )


def agree(seen: Tensor, heard: dict[int, float], threshold: float, shape: tuple[int, int]) -> Decision:
    """Decide for one picture.

    Args:
        seen: float [classes, h, w], probability of each class at each pixel; index = class id.
        heard: likelihood that each audible class sounds, 0..1, by class id; not empty.
        threshold: score from which a pixel sounds, 0..1.
        shape: (h, w) of the mask.

    Returns:
        The decision. The score of a class is the mean over its pixels of the mask; the sounding score
        is the best score of any pixel.
    """
    ids = sorted(heard)
    chosen = seen[ids][None]
    if chosen.shape[-2:] != shape:
        chosen = F.interpolate(chosen, size=shape, mode="bilinear", align_corners=True)
    weights = torch.tensor([heard[i] for i in ids], dtype=chosen.dtype)[:, None, None]
    best, winner = torch.sqrt(chosen[0] * weights).max(dim=0)
    sounds = best >= threshold
    mask = torch.where(sounds, torch.tensor(ids, dtype=torch.uint8)[winner], 0).to(torch.uint8).numpy()
    score = best.numpy()
    return Decision(
        mask=mask,
        confidence=np.where(mask > 0, np.rint(score * 255.0), 0.0).astype(np.uint8),
        scores={i: float(score[mask == i].mean()) for i in ids if (mask == i).any()},
        sounding_score=float(score.max()),
    )
