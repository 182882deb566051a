"""Arguments of CCFormer's steps as they look in the middle of a stream: shapes, and input of the checks."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from stream_avs.engine.backends.base import Step
from stream_avs.engine.frame_store import Leaves
from stream_avs.models.ccformer.cached_step import Encoded, EncodeFrame, fuse_step
from stream_avs.models.ccformer.ccformer import CCFormer
from stream_avs.models.ccformer.config import Mode


def example_inputs(network: CCFormer, input_px: int, batch: int) -> tuple[Tensor, Tensor]:
    """Noise for `EncodeFrame`: frames [B, 3, S, S] in 0..1 and log-mels; always the same."""
    generator = torch.Generator().manual_seed(0)
    frame = torch.rand(batch, 3, input_px, input_px, generator=generator)
    audio = torch.randn(batch, *network.audio_shape, generator=generator)
    device = network.decoder.position.device
    return frame.to(device), audio.to(device)


def example_frame(network: CCFormer, input_px: int) -> Leaves:
    """What is kept of one frame of one stream."""
    with torch.inference_mode():
        encoded = cast(Encoded, EncodeFrame(network).eval()(*example_inputs(network, input_px, 1)))
    kept: Leaves = {"keys": encoded.keys, "values": encoded.values, "audio": [encoded.audio]}
    if network.config.mode is Mode.WINDOW:
        return {**kept, "coarser": encoded.coarser}
    layers = [network.no_queries(1)] * mixing_layers(network)
    return {**kept, "asked": layers, "heard": layers}


def mixing_layers(network: CCFormer) -> int:
    """How many ITI layers there are."""
    config = network.config
    return config.ici_layers * config.iti_layers * config.iti


def example_steps(network: CCFormer, input_px: int, batch: int) -> tuple[Step, Step]:
    """Both halves of a mask: encode, and fuse with all slots filled."""
    encode = EncodeFrame(network).eval()
    fuse = fuse_step(network, network.sizes(input_px, input_px)).eval()
    inputs = example_inputs(network, input_px, batch)
    with torch.no_grad():
        encoded = cast(Encoded, encode(*inputs))
    config, T = network.config, network.config.frames
    device = encoded.finest.device
    generator = torch.Generator().manual_seed(1)

    def several(leaves: list[Tensor]) -> list[Tensor]:
        return [torch.stack([x * (1 - 0.1 * t) for t in range(T)], dim=1) for x in leaves]

    def queries(*shape: int) -> Tensor:
        return torch.randn(batch, *shape, config.queries, config.d, generator=generator).to(device)

    reset = torch.zeros(batch, dtype=torch.bool, device=device)
    keys, values, audio = several(encoded.keys), several(encoded.values), several([encoded.audio])[0]
    arguments: tuple[object, ...]
    if config.mode is Mode.CAUSAL:
        known = torch.ones(batch, T, dtype=torch.bool, device=device)
        older = known.clone()
        older[:, 0] = False
        asked = [queries(T) for _ in range(mixing_layers(network))]
        heard = [queries(T) for _ in range(mixing_layers(network))]
        arguments = (
            encoded.finest, encoded.coarser, encoded.audio, keys, values, audio,
            asked, heard, queries(), known, older, reset,
        )  # fmt: skip
    else:
        newest = torch.arange(batch, device=device) * T
        coarser = several(encoded.coarser)
        arguments = (encoded.finest, coarser, keys, values, audio, queries(), newest, reset)
    return Step(module=encode, example=inputs), Step(module=fuse, example=arguments)
