"""The training loop: resumable, on CPU or GPU."""

from __future__ import annotations

import copy
import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from stream_avs.models.ccformer.config import Mode
from stream_avs.models.nano.network import Nano
from stream_avs.training.nano.bank import Bank
from stream_avs.training.nano.batches import Sampler
from stream_avs.training.nano.objective import loss_of
from stream_avs.training.nano.validate import validate


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How long and how fast."""

    mode: Mode = Mode.CAUSAL
    """window lets every frame of a piece see the others, to compare; only causal networks run live."""
    steps: int = 1600
    pieces: int = 8
    """Of 5 frames, per step."""
    learning_rate: float = 1e-3
    weight_decay: float = 0.03
    warm_up: int = 60
    average: float = 0.98
    """Decay of the running mean of the weights, which is what is kept."""
    validate_every: int = 200
    save_every: int = 50
    seed: int = 11


def fit(
    network: Nano, train: Bank, val: Bank, folder: Path, config: FitConfig, tell: Callable[[str], None]
) -> Nano:
    """Train, or go on where the folder's state ends; returns the network with averaged weights."""
    averaged = copy.deepcopy(network)
    # not where eye and ear agree: how much of the composed clips is silent says nothing about the world
    trained = list(network.trunk.parameters())
    optimiser = torch.optim.AdamW(trained, lr=config.learning_rate, weight_decay=config.weight_decay)
    state, step = folder / "state.pt", 0
    if state.exists():
        saved = torch.load(state, weights_only=True)
        network.load_state_dict(saved["network"])
        averaged.load_state_dict(saved["averaged"])
        optimiser.load_state_dict(saved["optimiser"])
        step = int(saved["step"])
    sampler = Sampler(train)
    sums: dict[str, float] = {}
    while step < config.steps:
        rng = np.random.default_rng((config.seed, step))
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * _rate(step, config)
        batch = sampler.draw(rng, config.pieces)
        network.train()
        with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            output = network(batch.seen, batch.sound, batch.shape)
            losses = loss_of(output, batch, network.ids)
        optimiser.zero_grad(set_to_none=True)
        losses["total"].backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        step += 1
        _average(averaged, network, min(config.average, 1 - 1 / step))
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) * 0.97 + 0.03 * float(value.detach())
        if step % 25 == 0:
            total = 1 - 0.97 ** min(step, 1000)
            tell(f"step {step} " + " ".join(f"{n} {v / total:.4f}" for n, v in sums.items()))
        if step % config.save_every == 0 or step == config.steps:
            _save(state, network, averaged, optimiser, step)
        if step % config.validate_every == 0 or step == config.steps:
            scores = validate(averaged, val, 60)
            with (folder / "validation.jsonl").open("a") as file:
                file.write(json.dumps({"step": step, **scores}) + "\n")
            tell("validation " + " ".join(f"{n} {v:.3f}" for n, v in scores.items()))
    return averaged.eval()


@torch.no_grad()
def _average(averaged: Nano, network: Nano, decay: float) -> None:
    for mean, now in zip(averaged.parameters(), network.parameters(), strict=True):
        mean.lerp_(now, 1 - decay)


def _rate(step: int, config: FitConfig) -> float:
    if step < config.warm_up:
        return (step + 1) / config.warm_up
    share = (step - config.warm_up) / max(1, config.steps - config.warm_up)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


def _save(
    path: Path,
    network: Nano,
    averaged: Nano,
    optimiser: torch.optim.Optimizer,
    step: int,
) -> None:
    temporary = path.with_suffix(".part")
    content = {
        "network": network.state_dict(),
        "averaged": averaged.state_dict(),
        "optimiser": optimiser.state_dict(),
        "step": step,
    }
    torch.save(content, temporary)
    os.replace(temporary, path)
