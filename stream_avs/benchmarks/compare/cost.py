"""What one live mask costs each entry: the newest frame encoded, the window fused, one mask made."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch

from stream_avs.benchmarks.compare.entries import Entry
from stream_avs.benchmarks.compare.results import Cost
from stream_avs.benchmarks.compare.scale import Scale, train_config
from stream_avs.engine.backends.base import Step
from stream_avs.engine.ccformer_examples import example_steps as ccformer_steps
from stream_avs.engine.window_engine import example_steps as stateless_steps
from stream_avs.models import architectures
from stream_avs.models.ccformer.ccformer import CCFormer
from stream_avs.models.flops import count_macs, count_parameters
from stream_avs.models.network import Network, StatelessNetwork

_WARM_UP_ROUNDS = 3


def measure_costs(entries: Sequence[Entry], scale: Scale, *, rounds: int = 40) -> tuple[Cost, ...]:
    """Count and time every entry on one thread; all take turns, so that other load falls on all alike.

    Weights are random, which does not change the cost.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        networks = [_network(entry, scale) for entry in entries]
        steps = [_steps(network, scale.input_px) for network in networks]
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


def _steps(network: Network, input_px: int) -> tuple[Step, Step]:
    """Both halves of a mask, encode and fuse, as the engine runs them in the middle of a stream."""
    if isinstance(network, CCFormer):
        return ccformer_steps(network, input_px, 1)
    assert isinstance(network, StatelessNetwork)
    return stateless_steps(network, input_px, 1)


def _network(entry: Entry, scale: Scale) -> Network:
    torch.manual_seed(0)
    config = train_config(scale, entry, 0, Path("unused")).model
    return architectures.build(config).eval().requires_grad_(False)


def _mmac(entry: Entry, scale: Scale) -> float:
    with torch.device("meta"):
        steps = _steps(_network(entry, scale), scale.input_px)
    return sum(count_macs(step.module, *step.example).total() for step in steps) / 1e6


def _spent(steps: Sequence[Step]) -> tuple[float, float]:
    """Wall and processor milliseconds of one mask."""
    wall_ns, cpu_ns = time.perf_counter_ns(), time.process_time_ns()
    for step in steps:
        step.module(*step.example)
    return (time.perf_counter_ns() - wall_ns) / 1e6, (time.process_time_ns() - cpu_ns) / 1e6
