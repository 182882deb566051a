"""A model whose masks tell at which threshold they were decided."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from stream_avs.models.base import Decision, Stages
from stream_avs.types import MaskResult, Window

SIDE_PX = 200
SCORES = (np.arange(SIDE_PX) + 0.5) / SIDE_PX
OWN_THRESHOLD = 0.25


@dataclass(frozen=True, kw_only=True, eq=False)
class RampModel:
    """Scores rise from 0 on the left to 1 on the right, whatever is seen and heard; counts its steps.

    Hears so little that it has its sound at once.
    """

    id: str = "ramp-00000000"
    threshold: float = OWN_THRESHOLD
    own_threshold: float = OWN_THRESHOLD
    sample_rate_hz: int = 32_000
    context_s: float = 0.2
    frames: int = 1
    input_px: int = SIDE_PX
    mask_shape: tuple[int, int] = (1, SIDE_PX)
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> dict[int, str]:
        return {1: "ramp"}

    def with_threshold(self, threshold: float) -> RampModel:
        return replace(self, threshold=threshold)

    def initial_state(self) -> int:
        return 0

    def step(self, window: Window, state: int, stages: Stages) -> tuple[Decision, int]:
        mask = (self.threshold < SCORES).astype(np.uint8)[None]
        scores = {1: min(1.0, state / 1000)}
        return Decision(mask=mask, confidence=mask * 255, scores=scores, sounding_score=0.8), state + 1


def threshold_of(result: MaskResult) -> float:
    """The threshold that a result was decided at, to half a hundredth."""
    return 1 - float((result.mask > 0).mean())
