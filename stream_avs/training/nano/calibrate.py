"""Thresholds from validation data: the best masks for few false alarms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from stream_avs.models.nano.checkpoint import Thresholds
from stream_avs.models.nano.network import Nano
from stream_avs.models.nano.objects import ObjectRule, keep_objects
from stream_avs.training.nano.assets import IGNORE
from stream_avs.training.nano.bank import Bank
from stream_avs.training.nano.batches import Sampler
from stream_avs.training.nano.objective import MIN_AREA

BATCHES = 40
SEED = 19
ALARM_WEIGHT = 1.0
"""How much a masked share of a quiet frame costs, against a share of J."""
LEAST = (-50.0, -8.0, -6.0, -5.0, -4.0, -3.0, -2.5, -2.0, -1.5, -1.0, -0.5)
GAPS = (50.0, 4.0, 3.0, 2.0, 1.5, 1.0, 0.75, 0.5, 0.35, 0.2)


@torch.no_grad()
def calibrate(network: Nano, bank: Bank, tell: Callable[[str], None]) -> Thresholds:
    """Find the rule of objects with the best mean J of sounding frames less the price of false alarms."""
    network.eval()
    sampler, rng = Sampler(bank), np.random.default_rng(SEED)
    j, area = np.zeros((len(LEAST), len(GAPS))), np.zeros((len(LEAST), len(GAPS)))
    sounding = quiet = 0
    for _ in range(BATCHES):
        batch = sampler.draw(rng, 4, 1)
        output = network(batch.seen, batch.sound, batch.shape)
        heard = output.heard.flatten(0, 1)
        logits = network.combine(batch.seen.log_seen, heard)
        logits[:, 1:][heard < 0] = -torch.inf  # not heard: never shown
        masks = network.ids[logits[:, 1:].argmax(1)] * (logits[:, 1:].amax(1) >= 0)
        said = F.interpolate(
            output.residual.flatten(0, 1).float(), size=masks.shape[-2:], mode="bilinear", align_corners=False
        )
        for f in range(len(masks)):
            truth = batch.target[f].numpy()
            known = truth != IGNORE
            sounds = (truth > 0) & known
            loud = bool(sounds.mean() > MIN_AREA)
            if not loud and sounds.any():
                continue
            sounding += loud
            quiet += not loud
            mask, residual = masks[f].to(torch.uint8).numpy(), said[f, 0].numpy()
            for a, least in enumerate(LEAST):
                for b, gap in enumerate(GAPS):
                    kept = keep_objects(mask, residual, ObjectRule(least=least, gap=gap)) * known
                    if loud:
                        hit = ((kept == truth) & sounds).sum()
                        j[a, b] += hit / ((kept > 0) | sounds).sum()
                    else:
                        area[a, b] += (kept > 0).mean()
    j, area = j / max(sounding, 1), area / max(quiet, 1)
    a, b = (int(v) for v in np.unravel_index(np.argmax(j - ALARM_WEIGHT * area), j.shape))
    tell(
        f"objects: least {LEAST[a]}, gap {GAPS[b]}; J {j[a, b]:.4f} on {sounding} frames (without trunk "
        f"{j[0, 0]:.4f}), area {area[a, b]:.4f} on {quiet} quiet ones (without trunk {area[0, 0]:.4f})"
    )
    return Thresholds(least=LEAST[a], gap=GAPS[b])
