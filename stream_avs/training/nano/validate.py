"""Scores on a bank, while training: masks, silence, who speaks."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch

from stream_avs.models.nano.network import Nano
from stream_avs.training.nano.assets import IGNORE
from stream_avs.training.nano.bank import Bank
from stream_avs.training.nano.batches import Sampler
from stream_avs.training.nano.objective import channels

_EPS = 1e-6


@torch.no_grad()
def validate(network: Nano, bank: Bank, batches: int, seed: int = 7) -> dict[str, float]:
    """Score the network on the same drawn clips every time.

    Returns:
        j_<kind>: mean class-aware IoU of frames of which at least 0.2 % sound.
        alarm: mean masked share of frames on which nothing visible sounds.
        who: share of frames with two talkers and one voice on which more than half of the mask
            lies on the one who speaks.
    """
    network.eval()
    sampler, rng = Sampler(bank), np.random.default_rng(seed)
    scores: dict[str, list[float]] = defaultdict(list)
    for _k in range(batches):
        batch = sampler.draw(rng, 4, 1)
        with torch.autocast("cpu", torch.bfloat16):
            output = network(batch.seen, batch.sound, batch.shape)
        mask = output.logits.flatten(0, 1).float().argmax(1)
        target = channels(batch.target, network.ids)
        known = target != IGNORE
        for f in range(len(mask)):
            p, m, ok = mask[f], target[f], known[f]
            kind = batch.kinds[f // 5]
            if float(((m > 0) & ok).float().mean()) > 0.002:
                hit = float(((p == m) & (m > 0) & ok).sum())
                union = float((((p > 0) | (m > 0)) & ok).sum())
                scores[f"j_{kind}"].append(hit / (union + _EPS))
                scores["j"].append(hit / (union + _EPS))
                if kind == "two" and float((p > 0).sum()) > 20:
                    scores["who"].append(float(hit > 0.5 * float((p > 0).sum())))
            elif not bool((m > 0).logical_and(ok).any()):
                scores["alarm"].append(float(((p > 0) & ok).float().mean()))
    return {name: float(np.mean(values)) for name, values in sorted(scores.items())}
