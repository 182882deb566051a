"""A CCFormer small enough to run dozens of times, and inputs for it."""

from typing import Any

import torch
from torch import Tensor

from stream_avs.models.ccformer.ccformer import CCFormer
from stream_avs.models.ccformer.config import CCFormerConfig, preset

PX = 64


def small_config(**changes: Any) -> CCFormerConfig:
    """The tiny preset, smaller still."""
    small: dict[str, Any] = {
        "input_px": PX, "d": 32, "heads": 2, "ffn": 48, "generator_ffn": 48, "mask_hidden": 16, "queries": 3,
        "frames": 3,
    }  # fmt: skip
    return preset("tiny", **{**small, **changes})


def small_network(**changes: Any) -> CCFormer:
    """An untrained network, every output of which depends on every input; its logits spread by about 1."""
    torch.manual_seed(0)
    network = CCFormer(small_config(**changes))
    for name, parameter in network.named_parameters():
        if name.endswith(("offsets.weight", "weights.weight", "gate.weight")):
            torch.nn.init.normal_(parameter, std=0.1)  # these start at zero
        if name.endswith("classify.weight"):
            parameter.data *= 30  # as they begin, all logits are nearly zero
    return network.eval()


def inputs(batch: int = 2, frames: int = 3, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Frames [B, T, 3, 64, 64] and log-mels [B, T, 1, 96, 64]."""
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.rand(batch, frames, 3, PX, PX, generator=generator),
        torch.randn(batch, frames, 1, 96, 64, generator=generator),
    )
