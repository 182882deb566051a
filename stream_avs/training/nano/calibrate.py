"""Thresholds from validation data: the best masks for few false alarms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from stream_avs.models.nano.checkpoint import Thresholds
from stream_avs.models.nano.network import Nano
from stream_avs.training.nano.assets import IGNORE
from stream_avs.training.nano.bank import FRAMES, Bank
from stream_avs.training.nano.batches import Sampler
from stream_avs.training.nano.objective import channels

BATCHES = 40
SEED = 19
ALARM_WEIGHT = 2.0
"""How much a masked share of a quiet frame costs, against a share of J."""
PIXELS = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)
SOUNDING = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
PIXEL_GAP, SOUNDING_GAP = 0.08, 0.05


@torch.no_grad()
def calibrate(network: Nano, bank: Bank, tell: Callable[[str], None]) -> Thresholds:
    """Find the thresholds with the best mean J of sounding frames less the price of false alarms."""
    network.eval()
    sampler, rng = Sampler(bank), np.random.default_rng(SEED)
    j = np.zeros((len(PIXELS), len(SOUNDING)))
    alarm, sounding_frames, quiet_frames = np.zeros_like(j), 0, 0
    for _ in range(BATCHES):
        batch = sampler.draw(rng, 4, 1)
        output = network(batch.seen, batch.sound, batch.shape)
        logits = output.logits.flatten(0, 1)
        logits[:, 1:][output.heard.flatten(0, 1) < 0] = -torch.inf  # not heard: never shown
        probability = logits.softmax(1)
        score = output.sounding.flatten().sigmoid()
        target = channels(batch.target, network.ids)
        winner = probability[:, 1:].argmax(1) + 1
        for f in range(FRAMES * 4):
            known, truth = target[f] != IGNORE, target[f]
            sounds = (truth > 0) & known
            loud = float(sounds.float().mean()) > 0.002
            if not loud and bool(sounds.any()):
                continue
            sounding_frames += loud
            quiet_frames += not loud
            for a, pixel in enumerate(PIXELS):
                on = ((1 - probability[f, 0]) >= pixel) & known
                hit = float((on & (winner[f] == truth)).sum()) / max(float((on | sounds).sum()), 1.0)
                area = float(on.float().mean())
                for b, least in enumerate(SOUNDING):
                    shown = float(score[f]) >= least
                    if loud:
                        j[a, b] += hit * shown
                    else:
                        alarm[a, b] += area * shown
    value = j / max(sounding_frames, 1) - ALARM_WEIGHT * alarm / max(quiet_frames, 1)
    a, b = (int(v) for v in np.unravel_index(np.argmax(value), value.shape))
    pixel, sounding = PIXELS[a], SOUNDING[b]
    tell(
        f"thresholds: pixel {pixel}, sounding {sounding}; J {j[a, b] / sounding_frames:.4f} on "
        f"{sounding_frames} frames, area {alarm[a, b] / quiet_frames:.4f} on {quiet_frames} quiet ones"
    )
    return Thresholds(
        pixel=pixel,
        pixel_before=max(0.0, pixel - PIXEL_GAP),
        sounding=sounding,
        sounding_before=max(0.0, sounding - SOUNDING_GAP),
    )
