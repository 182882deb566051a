"""Scores on a bank, while training: masks, silence, who speaks."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch

from stream_avs.models.nano.network import Nano
from stream_avs.training.nano.assets import IGNORE
from stream_avs.training.nano.bank import Bank
from stream_avs.training.nano.batches import Sampler
from stream_avs.training.nano.clips import FRAMES
from stream_avs.training.nano.objective import MIN_AREA, channels, said_of

_EPS = 1e-6


@torch.no_grad()
def validate(network: Nano, bank: Bank, batches: int, seed: int = 7) -> dict[str, float]:
    """Score the newest frame of the same drawn pieces every time.

    Returns:
        j_<kind>: mean class-aware IoU of frames of which at least 0.2 % sound.
        alarm: mean masked share of frames on which nothing visible sounds.
        who_<kind>: share of frames with somebody who speaks and somebody who does not on which the
            trunk's mean mask over the first is higher.
    """
    network.eval()
    sampler, rng = Sampler(bank), np.random.default_rng(seed)
    scores: dict[str, list[float]] = defaultdict(list)
    for _ in range(batches):
        batch = sampler.draw(rng, 4)
        with torch.autocast("cpu", torch.bfloat16):
            output = network(batch.seen, batch.sound, batch.shape)
        said = said_of(output, batch, network.ids)
        mask = output.logits.flatten(0, 1).float().argmax(1)
        target = channels(batch.target, network.ids)
        for f, kind in zip(range(FRAMES - 1, len(mask), FRAMES), batch.kinds, strict=True):
            p, m, ok = mask[f], target[f], target[f] != IGNORE
            if said.speaks[f] and said.listens[f]:
                scores[f"who_{kind}"].append(float(said.speaking[f] > said.listening[f]))
            if float(((m > 0) & ok).float().mean()) > MIN_AREA:
                hit = float(((p == m) & (m > 0) & ok).sum())
                union = float((((p > 0) | (m > 0)) & ok).sum())
                for name in (f"j_{kind}", "j"):
                    scores[name].append(hit / (union + _EPS))
            elif not bool((m > 0).logical_and(ok).any()):
                scores["alarm"].append(float(((p > 0) & ok).float().mean()))
    return {name: float(np.mean(values)) for name, values in sorted(scores.items())}
