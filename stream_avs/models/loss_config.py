"""Weights of the loss terms; every architecture is trained with some of them. Imports no torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from stream_avs.config import require


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weight of each term; 0 leaves it out. The defaults are CCFormer's for S4 and MS3."""

    dice: float = 1.0
    """Dice on the probability that a pixel sounds."""
    cross_entropy: float = 0.0
    """Per-pixel cross-entropy: binary with one class, over the classes otherwise."""
    contrast: float = 0.1
    """BCL, CCFormer's lambda; for networks with BCL."""
    sounding: float = 0.0
    """Binary cross-entropy of the sounding score (in no paper); for networks with such a score."""
    match: float = 0.0
    """TPAVI's audio-visual matching: maps averaged over the predicted mask, against the sound."""
    avfs: float = 0.0
    """AVSAC's audio-visual frame-wise synchrony: each frame's visual tokens against its sound."""
    classify: float = 0.0
    """C3N's classifiers of what is seen and heard, where they learn: cross-entropy with the classes in the
    mask; nothing where the data set names none (S4, MS3)."""
    mix: float = 0.0
    """AVSegFormer's mix loss: dice on the channel mean of the mask feature; for networks with one."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            require(value >= 0, f"loss.{field.name}", value, "0 or more")


OBJECT_LOSS = LossConfig()
"""CCFormer on S4 and MS3: dice and contrast."""
SEMANTIC_LOSS = LossConfig(dice=0.0, cross_entropy=1.0, contrast=0.0)
"""CCFormer on AVSS: cross-entropy alone."""
