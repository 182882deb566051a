"""The total loss: masks of every supervised layer (CCFormer eq 13), plus what compares sight and sound."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from stream_avs.models.audio_visual_loss import matching_loss, synchrony_loss
from stream_avs.models.c3n.classification import classification_loss
from stream_avs.models.ccformer.contrastive import contrastive_loss
from stream_avs.models.loss_config import LossConfig
from stream_avs.models.network import NetworkOutput, sounding_probability

_DICE_FLOOR = 0.002
"""Keeps the dice quotient finite when mask and prediction are both empty."""


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What the frames of a batch should look like.

    Attributes:
        masks: int64 [B, T, H, W]: class ids, 0 = not sounding; 0 / 1 with one class. Frames
            without a label may hold anything.
        labelled: bool [B, T], frames that have a mask (S4 trains on the first frame of five).
        valid: bool [B, T], frames that are real and not padding (AVSS pads to ten).
        present: bool [B, T, K], which of the data set's classes are in the mask, whatever `masks` tells
            of them; None or K = 0 when nobody asks.
    """

    masks: Tensor
    labelled: Tensor
    valid: Tensor
    present: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Losses:
    """The total and its terms, each before its weight; scalars, zero for a term left out.

    Attributes:
        total: weighted sum, to be minimised.
        dice: summed over decoder layers, as are the masks' other terms.
        cross_entropy: see `LossConfig`.
        contrast: see `LossConfig`.
        sounding: see `LossConfig`.
        match: see `LossConfig`.
        avfs: see `LossConfig`.
        classify: see `LossConfig`.
        mix: see `LossConfig`.
    """

    total: Tensor
    dice: Tensor
    cross_entropy: Tensor
    contrast: Tensor
    sounding: Tensor
    match: Tensor
    avfs: Tensor
    classify: Tensor
    mix: Tensor


def dice_loss(probability: Tensor, target: Tensor) -> Tensor:
    """1 - 2 sum(p g) / (sum(p^2) + sum(g^2)) for each frame (V-Net's form).

    An empty target gives 1 whatever is predicted, so dice alone never teaches silence.

    Args:
        probability: [F, H, W], 0..1.
        target: float [F, H, W], 0 or 1.

    Returns:
        [F], 0 (equal) to 1 (disjoint).
    """
    overlap = (probability * target).sum((-2, -1))
    total = probability.square().sum((-2, -1)) + target.square().sum((-2, -1))
    return 1 - 2 * overlap / (total + _DICE_FLOOR)


def total_loss(output: NetworkOutput, targets: Targets, config: LossConfig) -> Losses:
    """Compute all terms with a weight; one that the network offers nothing for is zero.

    Only labelled frames enter the mask and sounding terms; all valid frames enter the others.

    Args:
        output: of `Network.forward` with every layer.
        targets: on the same device.
        config: weights.
    """
    labelled = targets.labelled & targets.valid
    terms: dict[str, Tensor] = {}
    if bool(labelled.any()):
        terms |= _mask_terms(output, targets.masks[labelled], labelled, config)
    if config.contrast and output.contrast is not None:
        terms["contrast"] = contrastive_loss(*output.contrast, valid=targets.valid)
    if config.match and output.paired:
        terms["match"] = matching_loss(output.paired, output.masks[-1], targets.valid)
    if config.avfs and output.paired:
        terms["avfs"] = synchrony_loss(output.paired, targets.valid)
    if config.classify and output.classified and targets.present is not None and targets.present.shape[-1]:
        terms["classify"] = classification_loss(output.classified, targets.present, labelled)
    total = zero = output.sounding.new_zeros((), dtype=torch.float32)
    for name, term in terms.items():
        total = total + getattr(config, name) * term
    names = (field.name for field in dataclasses.fields(config))
    return Losses(total=total, **{name: terms.get(name, zero) for name in names})


def _mask_terms(
    output: NetworkOutput, masks: Tensor, labelled: Tensor, config: LossConfig
) -> dict[str, Tensor]:
    """Terms that need a mask; `masks` [F, H, W] are those of the labelled frames."""
    sounds = (masks > 0).float()
    logits = [_resized(layer[labelled].float(), masks) for layer in output.masks]
    terms = {}
    if config.dice:
        terms["dice"] = _total(dice_loss(sounding_probability(x), sounds).mean() for x in logits)
    if config.cross_entropy:
        terms["cross_entropy"] = _total(_cross_entropy(x, masks) for x in logits)
    if config.mix and output.mixed is not None:
        mixed = _resized(output.mixed[labelled].float()[:, None], masks)[:, 0]
        terms["mix"] = dice_loss(mixed.sigmoid(), sounds).mean()
    if config.sounding:
        anything = sounds.flatten(1).amax(1)
        terms["sounding"] = F.binary_cross_entropy_with_logits(output.sounding[labelled].float(), anything)
    return terms


def _total(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(terms)).sum()


def _cross_entropy(logits: Tensor, masks: Tensor) -> Tensor:
    if logits.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(logits[:, 0], (masks > 0).float())
    return F.cross_entropy(logits, masks)


def _resized(logits: Tensor, masks: Tensor) -> Tensor:
    """Logits at the size of the labels."""
    if logits.shape[-2:] == masks.shape[-2:]:
        return logits
    return F.interpolate(logits, size=masks.shape[-2:], mode="bilinear", align_corners=False)
