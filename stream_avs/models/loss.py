"""The total loss: masks of every supervised layer (CCFormer eq 13), plus what compares sight and sound."""

from __future__ import annotations

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
    """

    total: Tensor
    dice: Tensor
    cross_entropy: Tensor
    contrast: Tensor
    sounding: Tensor
    match: Tensor
    avfs: Tensor
    classify: Tensor


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
    zero = output.sounding.new_zeros((), dtype=torch.float32)
    labelled = targets.labelled & targets.valid
    dice = cross_entropy = contrast = sounding = match = avfs = classify = zero
    if bool(labelled.any()):
        masks = targets.masks[labelled]  # [F, H, W]
        for layer in output.masks:
            logits = _resized(layer[labelled].float(), masks)
            if config.dice:
                dice = dice + dice_loss(sounding_probability(logits), (masks > 0).float()).mean()
            if config.cross_entropy:
                cross_entropy = cross_entropy + _cross_entropy(logits, masks)
        if config.sounding:
            sounds = (masks > 0).flatten(1).any(1).float()
            sounding = F.binary_cross_entropy_with_logits(output.sounding[labelled].float(), sounds)
    if config.contrast and output.contrast is not None:
        contrast = contrastive_loss(*output.contrast, valid=targets.valid)
    if config.match and output.paired:
        match = matching_loss(output.paired, output.masks[-1], targets.valid)
    if config.avfs and output.paired:
        avfs = synchrony_loss(output.paired, targets.valid)
    if config.classify and output.classified and targets.present is not None and targets.present.shape[-1]:
        classify = classification_loss(output.classified, targets.present, labelled)
    total = (
        config.dice * dice
        + config.cross_entropy * cross_entropy
        + config.contrast * contrast
        + config.sounding * sounding
        + config.match * match
        + config.avfs * avfs
        + config.classify * classify
    )
    return Losses(
        total=total, dice=dice, cross_entropy=cross_entropy, contrast=contrast, sounding=sounding,
        match=match, avfs=avfs, classify=classify,
    )  # fmt: skip


def _cross_entropy(logits: Tensor, masks: Tensor) -> Tensor:
    if logits.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(logits[:, 0], (masks > 0).float())
    return F.cross_entropy(logits, masks)


def _resized(logits: Tensor, masks: Tensor) -> Tensor:
    """Logits at the size of the labels."""
    if logits.shape[-2:] == masks.shape[-2:]:
        return logits
    return F.interpolate(logits, size=masks.shape[-2:], mode="bilinear", align_corners=False)
