"""What nano's training minimises."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from stream_avs.models.loss import dice_loss
from stream_avs.models.nano.network import PERSON, NanoOutput
from stream_avs.training.nano.assets import IGNORE
from stream_avs.training.nano.batches import Batch

DICE_WEIGHT = 0.5
SOUNDING_WEIGHT = 0.2
RESTRAINT_WEIGHT = 0.003
"""Price of the trunk's corrections: without need it should make none."""
AHEAD = 1.5
"""By how much, in logits, the trunk's mask over a speaker should be ahead of that over others."""
ALONE_WEIGHT = 0.5
"""Of speakers and listeners each on their own, against one ahead of the other."""
MIN_AREA = 0.002
"""A frame of which less than this share sounds neither sounds nor is silent."""
_MIN_CELLS = 16


@dataclass(frozen=True, kw_only=True)
class Said:
    """The trunk's mean mask over the people of each frame.

    Attributes:
        speaking: [F], over those who speak; 0 where nobody does.
        listening: [F], over those who do not.
        speaks: bool [F], somebody who is seen speaks.
        listens: bool [F], somebody who is seen does not.
        voice: bool [F], a voice is heard.
    """

    speaking: Tensor
    listening: Tensor
    speaks: Tensor
    listens: Tensor
    voice: Tensor


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
    speakers = loss_of_speakers(said_of(output, batch, ids))
    total = cross_entropy + DICE_WEIGHT * dice + SOUNDING_WEIGHT * sounding + speakers
    total = total + RESTRAINT_WEIGHT * restraint
    return {
        "total": total,
        "cross_entropy": cross_entropy,
        "dice": dice,
        "sounding": sounding,
        "speakers": speakers,
    }


def said_of(output: NanoOutput, batch: Batch, ids: Tensor) -> Said:
    """Average the trunk's mask over the people whom the eye sees, as live decisions do."""
    residual = output.residual.flatten(0, 1).float()
    mask = F.interpolate(residual, size=batch.target.shape[-2:], mode="bilinear", align_corners=True)[:, 0]
    person = batch.seen.log_seen.argmax(1) == PERSON
    voice = output.heard.flatten(0, 1)[:, int((ids == PERSON).nonzero())] > 0
    means, found = [], []
    for who in (person & (batch.target == PERSON), person & (batch.target == 0)):
        cells = who.sum((1, 2))
        means.append((mask * who).sum((1, 2)) / cells.clamp(min=1))
        found.append(cells > _MIN_CELLS)
    return Said(speaking=means[0], listening=means[1], speaks=found[0], listens=found[1], voice=voice)


def loss_of_speakers(said: Said) -> Tensor:
    """Who speaks is ahead of who does not, and each is on its side of zero."""
    terms = [
        (1.0, AHEAD - (said.speaking - said.listening)[said.speaks & said.listens]),
        (ALONE_WEIGHT, -said.speaking[said.speaks]),
        (ALONE_WEIGHT, said.listening[said.listens & said.voice]),
    ]
    parts = [weight * F.softplus(x).mean() for weight, x in terms if x.numel()]
    return torch.stack(parts).sum() if parts else said.speaking.new_zeros(())
