"""Thresholds of pixels and of the eye's sureness from validation pictures: best masks, few false alarms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

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
PIXEL = 0.7
"""As strict as `consensus` with the threshold 0.65; validation J does not tell 0.6 from 0.8."""
CLEAR = (0.0, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95)
TIE = 0.001
"""Values this close to the best are as good; then the strictest is taken."""
BEHIND, SHOWN = 1.0, 0.3
"""Of `ObjectRule`, chosen on composed streams of the validation split."""
STAYS = 0.08
"""A pixel that sounded stays until it is this much less likely."""


@torch.no_grad()
def calibrate(network: Nano, bank: Bank, tell: Callable[[str], None]) -> Thresholds:
    """Find how sure the eye must be: the best mean J of sounding frames less the price of false alarms."""
    network.eval()
    sampler, rng = Sampler(bank), np.random.default_rng(SEED)
    j, area = np.zeros(len(CLEAR)), np.zeros(len(CLEAR))
    sounding = quiet = 0
    for _ in range(BATCHES):
        batch = sampler.draw(rng, 4)
        heard = network.hear(batch.sound)
        logits = network.combine(batch.seen.log_seen, heard)
        logits[:, 1:][heard < 0] = -torch.inf  # not heard: never shown
        likely, place = (1 - logits.softmax(1)[:, 0]), logits[:, 1:].argmax(1)
        winner = network.ids[place].to(torch.uint8)
        seen = batch.seen.log_seen.gather(1, winner[:, None].long())[:, 0].exp()
        for f in range(len(winner)):
            truth = batch.target[f].numpy()
            known = truth != IGNORE
            loud = bool(((truth > 0) & known).mean() > MIN_AREA)
            if not loud and ((truth > 0) & known).any():
                continue
            sounding += loud
            quiet += not loud
            mask = np.where(likely[f].numpy() >= PIXEL, winner[f].numpy(), 0).astype(np.uint8)
            for k, clear in enumerate(CLEAR):
                kept = _kept(mask, seen[f].numpy(), clear) * known
                if loud:
                    j[k] += _j(kept, np.where(known, truth, 0))
                else:
                    area[k] += (kept > 0).mean()
    j, area = j / max(sounding, 1), area / max(quiet, 1)
    value = j - ALARM_WEIGHT * area
    best = int(np.flatnonzero(value >= value.max() - TIE)[-1])
    for k, clear in enumerate(CLEAR):
        tell(f"clear {clear}: J {j[k]:.4f} on {sounding}, area {area[k]:.4f} on {quiet}")
    return Thresholds(pixel=PIXEL, pixel_before=PIXEL - STAYS, clear=CLEAR[best], behind=BEHIND, shown=SHOWN)


def _kept(mask: NDArray[np.uint8], seen: NDArray[np.float32], clear: float) -> NDArray[np.uint8]:
    never = np.zeros(mask.shape, np.bool_)
    return keep_objects(mask, seen, None, never, ObjectRule(clear=clear))


def _j(mask: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    return float(((mask == truth) & (truth > 0)).sum() / ((mask > 0) | (truth > 0)).sum())
