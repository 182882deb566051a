"""Learning rate and frozen parts as functions of the step, so that resuming needs no state."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from stream_avs.config import require


class Decay(enum.StrEnum):
    """How the learning rate falls after the warm-up."""

    CONSTANT = "constant"  # the paper
    COSINE = "cosine"  # to zero at the last step


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """The learning rate over a run."""

    learning_rate: float = 2e-5
    """After the warm-up."""
    warmup_steps: int = 0
    """Steps over which it rises from zero."""
    decay: Decay = Decay.CONSTANT
    """How it falls afterwards."""

    def __post_init__(self) -> None:
        require(self.learning_rate > 0, "schedule.learning_rate", self.learning_rate, "above 0")
        require(self.warmup_steps >= 0, "schedule.warmup_steps", self.warmup_steps, "0 or more")


def learning_rate(config: ScheduleConfig, step: int, steps: int) -> float:
    """The rate of step `step` (from 0) of a run of `steps`."""
    rate = config.learning_rate
    if step < config.warmup_steps:
        return rate * (step + 1) / config.warmup_steps
    if config.decay is Decay.COSINE:
        done = (step - config.warmup_steps) / max(1, steps - config.warmup_steps)
        return rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return rate
