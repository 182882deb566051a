"""Parameters and multiply-accumulates of each module, beside the paper's Table IV."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import torch
from torch import nn

from stream_avs.models.ccformer.ccformer import CCFormer
from stream_avs.models.ccformer.config import CCFormerConfig, Mode
from stream_avs.models.ccformer.step import CausalStep, EncodeStep, FuseStep
from stream_avs.models.flops import Budget, Row, count_macs

Owner = Callable[[str], bool]

PAPER_TOTAL = (143.4e6, 86.3e9)
"""Trainable parameters and FLOPs of the PVTv2 network, Table IV."""
PAPER = {"EIM": (2.6e6, 5.5e9), "ICI": (4.6e6, 0.4e9), "ITI": (26.1e6, 0.2e9), "BCL": (0.4e6, 0.4e9)}
"""What Table IV saves by leaving a module out: parameters and FLOPs."""


def _prefix(*prefixes: str) -> Owner:
    return lambda name: any(name == p or name.startswith(p + ".") for p in prefixes)


def _in_decoder(part: str) -> Owner:
    return lambda name: name.startswith("decoder.layers.") and f".{part}" in name


PARTS: dict[str, Owner] = {
    "image encoder": _prefix("image_encoder"),
    "audio encoder": _prefix("audio_encoder"),
    "projections": _prefix("audio_projection", "visual_projection"),
    "EIM": _prefix("eim"),
    "Transformer encoder": _prefix("encoder"),
    "query generator": _prefix("query_generator"),
    "ICI": _in_decoder("ici"),
    "ITI": _in_decoder("iti"),
    "decoder queries": lambda name: name.startswith("decoder.") and not name.startswith("decoder.layers."),
    "cross-modal FPN": _prefix("head.fpn"),
    "dynamic kernels": _prefix("head.dynamic"),
    "mask MLP": _prefix("head.mask_mlp"),
    "final layers": _prefix("head.reduce", "head.refine", "head.classify"),
    "BCL": _prefix("contrast"),
    "sounding score": _prefix("sounding"),
}
"""Parts of the network and which modules and parameters belong to them; each to exactly one."""


def budget(config: CCFormerConfig, input_px: int, *, paper: bool = False) -> Budget:
    """Count one network; nothing is allocated or run.

    Args:
        config: the network's.
        input_px: side of the square image.
        paper: put the paper's figures beside (they are for `pvt2` at 224 px).
    """
    with torch.device("meta"):
        network = CCFormer(config).eval()
        frames = torch.empty(1, 1, 3, input_px, input_px)
        audio = torch.empty(1, 1, *network.audio_shape)
        macs = count_macs(network, frames, audio)
        live = _live_macs(network, input_px)
    parameters = Counter({name: p.numel() for name, p in network.named_parameters()})
    rows = [
        Row(
            name=part,
            parameters=_owned(parameters, owner),
            macs=_owned(macs, owner),
            paper=PAPER.get(part) if paper else None,
        )
        for part, owner in PARTS.items()
    ]
    uncounted = sum(
        r.parameters for r in rows if r.name == "audio encoder" and config.audio_encoder == "vggish"
    )
    total = Row(
        name="total",
        parameters=sum(r.parameters for r in rows) - uncounted,
        macs=sum(r.macs for r in rows),
        paper=PAPER_TOTAL if paper else None,
    )
    return Budget(rows=[r for r in rows if r.parameters or r.macs], total=total, live_macs=live)


def _owned(counts: Counter[str], owner: Owner) -> int:
    return sum(n for name, n in counts.items() if owner(name))


def _live_macs(network: CCFormer, input_px: int) -> int:
    config = network.config
    reset = torch.empty(1, dtype=torch.bool)
    frames, audio = torch.empty(1, 1, 3, input_px, input_px), torch.empty(1, 1, *network.audio_shape)
    step: nn.Module
    if config.mode is Mode.CAUSAL:
        step = CausalStep(network, input_px).eval()
        return count_macs(step, frames[:, 0], audio[:, 0], step.initial_state(1), reset).total()
    once = count_macs(EncodeStep(network).eval(), frames, audio).total()
    step = FuseStep(network, input_px).eval()
    visual = [torch.empty(1, config.frames, h * w, config.d) for h, w in step.sizes]
    heard = torch.empty(1, config.frames, network.audio_tokens, config.d)
    return once + count_macs(step, visual, heard, network.no_queries(1), reset).total()
