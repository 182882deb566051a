"""Parameters and multiply-accumulates of any trainable network, part by part."""

from __future__ import annotations

from collections import Counter

import torch
from torch import nn

from stream_avs.models import architectures
from stream_avs.models.ccformer.budget import budget as ccformer_budget
from stream_avs.models.ccformer.config import CCFormerConfig
from stream_avs.models.flops import Budget, Row, count_macs
from stream_avs.models.live_step import EncodeFrame, SegmentNewest
from stream_avs.models.network import StatelessNetwork
from stream_avs.models.network_config import NetworkConfig


def budget(config: NetworkConfig, *, paper: bool = False) -> Budget:
    """Count one network at its input size; nothing is allocated or run.

    Args:
        config: the network's.
        paper: put CCFormer's Table IV beside (its figures are for `pvt2` at 224 px).
    """
    if isinstance(config, CCFormerConfig):
        return ccformer_budget(config, config.input_px, paper=paper)
    with torch.device("meta"):
        network = architectures.build(config).eval()
        frames = torch.empty(1, 1, 3, config.input_px, config.input_px)
        audio = torch.empty(1, 1, *network.audio_shape)
        macs = _by_child(count_macs(network, frames, audio))
        live = _live_macs(network, frames, audio)
    parameters = _by_child(Counter({name: p.numel() for name, p in network.named_parameters()}))
    rows = [
        Row(name=name.replace("_", " "), parameters=parameters[name], macs=macs[name])
        for name, _ in network.named_children()
        if parameters[name] or macs[name]
    ]
    frozen = parameters["audio_encoder"] if config.audio_encoder == "vggish" else 0
    total = Row(name="total", parameters=parameters.total() - frozen, macs=macs.total())
    return Budget(rows=rows, total=total, live_macs=live)


def _by_child(counts: Counter[str]) -> Counter[str]:
    """Counts by qualified name, added up by the network's own children."""
    result: Counter[str] = Counter()
    for name, count in counts.items():
        result[name.split(".")[0]] += count
    return result


def _live_macs(network: nn.Module, frames: torch.Tensor, audio: torch.Tensor) -> int:
    assert isinstance(network, StatelessNetwork)
    encode = EncodeFrame(network).eval()
    inputs = frames[:, 0], audio[:, 0]
    own, shared = encode(*inputs)
    window = [x[:, None].expand(-1, network.config.live_frames, *x.shape[1:]) for x in shared]
    segment = SegmentNewest(network).eval()
    return count_macs(encode, *inputs).total() + count_macs(segment, own, window).total()
