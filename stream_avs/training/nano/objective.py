"""What nano's training minimises."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from stream_avs.models.loss import dice_loss
from stream_avs.models.nano.network import NanoOutput
from stream_avs.training.nano.assets import IGNORE
from stream_avs.training.nano.batches import Batch

DICE_WEIGHT = 0.5
SOUNDING_WEIGHT = 0.2
RESTRAINT_WEIGHT = 0.003
"""Price of the trunk's corrections: without need it should make none."""
MIN_AREA = 0.002
"""A frame of which less than this share sounds neither sounds nor is silent."""


def channels(target: Tensor, ids: Tensor) -> Tensor:
    """VOC ids [F, h, w] -> channel of the class logits, 0 for other classes, 255 unknown."""
    table = torch.zeros(256, dtype=torch.int64, device=target.device)
    table[ids] = torch.arange(1, len(ids) + 1, device=target.device)
    table[IGNORE] = IGNORE
    return table[target]


def loss_of(output: NanoOutput, batch: Batch, ids: Tensor) -> dict[str, Tensor]:
    """The terms of the loss, and under "total" their weighted sum."""
    target = channels(batch.target, ids)
    known = target != IGNORE
    sounds = (target > 0) & known
    area = sounds.float().mean((1, 2))
    logits = output.logits.flatten(0, 1).float()
    cross_entropy = F.cross_entropy(logits, target, ignore_index=IGNORE)
    probability = (1 - logits.softmax(1)[:, 0]) * known
    loud = area > MIN_AREA
    dice = logits.new_zeros(())
    if bool(loud.any()):
        dice = dice_loss(probability[loud], sounds[loud].float()).mean()
    clear = (area > MIN_AREA) | ((area == 0) & known.flatten(1).all(1))
    sounding = F.binary_cross_entropy_with_logits(
        output.sounding.flatten().float(), (area > 0).float(), weight=clear.float()
    )
    restraint = output.residual.float().square().mean()
    total = cross_entropy + DICE_WEIGHT * dice + SOUNDING_WEIGHT * sounding + RESTRAINT_WEIGHT * restraint
    return {"total": total, "cross_entropy": cross_entropy, "dice": dice, "sounding": sounding}
