"""Which parts of the network train, and when."""

from __future__ import annotations

from torch import nn

from stream_avs.models.ccformer.ccformer import CCFormer
from stream_avs.training.config import TrainConfig


def trained(network: CCFormer, config: TrainConfig) -> dict[str, nn.Parameter]:
    """The parameters that train at some time of the run, by name; the optimiser holds these."""
    audio = {f"audio_encoder.{name}" for name, _ in network.audio_encoder.named_parameters()}
    fixed = set() if config.train_audio_encoder else audio
    return {name: p for name, p in network.named_parameters() if name not in fixed}


def enter_epoch(network: CCFormer, config: TrainConfig, epoch: int) -> bool:
    """Freeze and unfreeze for `epoch` (from 0), and put the network into training mode.

    Frozen encoders also stay in evaluation mode. Batch norm keeps its statistics always: a batch
    of two clips is too small to estimate them.

    Returns:
        True if other parameters train from now on than before.
    """
    before = {name for name, p in network.named_parameters() if p.requires_grad}
    network.train()
    for encoder, trains in (
        (network.image_encoder, epoch >= config.frozen_image_epochs),
        (network.audio_encoder, config.train_audio_encoder),
    ):
        encoder.requires_grad_(trains)
        encoder.train(trains)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    return before != {name for name, p in network.named_parameters() if p.requires_grad}
