"""Which parts of the network train, and when."""

from __future__ import annotations

from torch import nn

from stream_avs.models.network import Network
from stream_avs.training.config import TrainConfig


def trained(network: Network, config: TrainConfig) -> dict[str, nn.Parameter]:
    """The parameters that train at some time of the run, by name; the optimiser holds these."""
    fixed = tuple(f"{child}." for child in _fixed(network, config))
    return {name: p for name, p in network.named_parameters() if not name.startswith(fixed)}


def enter_epoch(network: Network, config: TrainConfig, epoch: int) -> bool:
    """Freeze and unfreeze for `epoch` (from 0), and put the network into training mode.

    Frozen encoders also stay in evaluation mode. Batch norm keeps its statistics always: a batch
    of two clips is too small to estimate them.

    Returns:
        True if other parameters train from now on than before.
    """
    before = {name for name, p in network.named_parameters() if p.requires_grad}
    network.train()
    network.image_encoder.requires_grad_(epoch >= config.frozen_image_epochs)
    network.image_encoder.train(epoch >= config.frozen_image_epochs)
    for child in _fixed(network, config):
        network.get_submodule(child).requires_grad_(False).eval()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    return before != {name for name, p in network.named_parameters() if p.requires_grad}


def _fixed(network: Network, config: TrainConfig) -> tuple[str, ...]:
    """Names of the children that never train in this run."""
    audio = () if config.train_audio_encoder else ("audio_encoder",)
    return (*network.never_trained, *audio)
