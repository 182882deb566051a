"""What one live mask costs each entry: the newest frame encoded, the window fused, one mask made."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from stream_avs.benchmarks.compare.entries import Entry
from stream_avs.benchmarks.compare.results import Cost
from stream_avs.benchmarks.compare.scale import Scale, train_config
from stream_avs.engine.backends.base import Step
from stream_avs.engine.ccformer_examples import example_steps
from stream_avs.models import architectures
from stream_avs.models.ccformer.ccformer import CCFormer
from stream_avs.models.flops import count_macs, count_parameters
from stream_avs.models.network import Network, StatelessNetwork

_WARM_UP_ROUNDS = 3


class LiveStep(nn.Module):
    """One mask of a network that carries nothing, with what was kept of the older frames."""

    def __init__(self, network: StatelessNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, frame: Tensor, audio: Tensor, *older: Tensor) -> Tensor:
        """[1, 1, 3, S, S], [1, 1, ...], each shared [1, T - 1, ...] -> logits [1, 1, classes, S, S]."""
        features = self.network.encode_frames(frame, audio)
        kept = [torch.cat(pair, dim=1) for pair in zip(older, features.shared, strict=True)]
        return self.network.segment(features.own, kept, every_layer=False).masks[-1]


def measure_costs(entries: Sequence[Entry], scale: Scale, *, rounds: int = 40) -> tuple[Cost, ...]:
    """Count and time every entry on one thread; all take turns, so that other load falls on all alike.

    Weights are random, which does not change the cost.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        networks = [_network(entry, scale) for entry in entries]
        steps = [live_steps(network, scale.input_px) for network in networks]
        spent: list[list[tuple[float, float]]] = [[] for _ in entries]
        with torch.inference_mode():
            for _ in range(rounds + _WARM_UP_ROUNDS):
                for k, one in enumerate(steps):
                    spent[k].append(_spent(one))
    finally:
        torch.set_num_threads(threads)
    costs = []
    for entry, network, times in zip(entries, networks, spent, strict=True):
        settled = times[_WARM_UP_ROUNDS:]
        costs.append(
            Cost(
                entry=entry.name, parameters=count_parameters(network), mmac=_mmac(entry, scale),
                ms=median(t[0] for t in settled), cpu_ms=median(t[1] for t in settled), rounds=rounds,
            )
        )  # fmt: skip
    return tuple(costs)


def live_steps(network: Network, input_px: int) -> tuple[Step, ...]:
    """The modules that make one mask, with arguments as in the middle of a stream.

    Raises:
        TypeError: a network that carries state and is not CCFormer.
    """
    if isinstance(network, CCFormer):
        return example_steps(network, input_px, 1)
    if not isinstance(network, StatelessNetwork):
        raise TypeError(f"{type(network).__name__} has no live step here")
    frame, audio = torch.rand(1, 1, 3, input_px, input_px), torch.randn(1, 1, *network.audio_shape)
    with torch.no_grad():
        shared = network.encode_frames(frame, audio).shared
    older = [x.repeat_interleave(network.config.frames - 1, dim=1) for x in shared]
    return (Step(module=LiveStep(network).eval(), example=(frame, audio, *older)),)


def _network(entry: Entry, scale: Scale) -> Network:
    torch.manual_seed(0)
    config = train_config(scale, entry, 0, Path("unused")).model
    return architectures.build(config).eval().requires_grad_(False)


def _mmac(entry: Entry, scale: Scale) -> float:
    with torch.device("meta"):
        steps = live_steps(_network(entry, scale), scale.input_px)
    return sum(count_macs(step.module, *step.example).total() for step in steps) / 1e6


def _spent(steps: Sequence[Step]) -> tuple[float, float]:
    """Wall and processor milliseconds of one mask."""
    wall_ns, cpu_ns = time.perf_counter_ns(), time.process_time_ns()
    for step in steps:
        step.module(*step.example)
    return (time.perf_counter_ns() - wall_ns) / 1e6, (time.process_time_ns() - cpu_ns) / 1e6
