"""Train the listener alone, on sounds alone: a minute, before anything is seen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from stream_avs.models.nano.network import Nano
from stream_avs.models.nano.senses import Sound
from stream_avs.training.nano.bank import Bank

STEPS = 2500
BATCH = 256
RATE = 3e-3
WEIGHT_DECAY = 1e-3
POSITIVE_WEIGHT = 2.0


def fit_listener(network: Nano, train: Bank, val: Bank, seed: int, tell: Callable[[str], None]) -> None:
    """Fit `network.listener` to what sounds at each frame."""
    sound, heard = stored_sound(train), np.array(train.arrays["heard"])
    labels = torch.from_numpy(heard).float()[:, network.ids]
    optimiser = torch.optim.AdamW(network.listener.parameters(), lr=RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=STEPS)
    rng = np.random.default_rng((seed, 1))
    for step in range(STEPS):
        rows = torch.from_numpy(rng.integers(len(labels), size=BATCH))
        logits = network.listener(sound.evidence[rows], sound.levels[rows])
        loss = _loss(logits, labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 500 == 0 or step == STEPS - 1:
            tell(f"listener step {step} loss {float(loss.detach()):.4f} {score_listener(network, val)}")


def stored_sound(bank: Bank) -> Sound:
    """Everything heard in the bank."""
    fields = (torch.from_numpy(np.array(bank.arrays[n])).float() for n in ("evidence", "levels"))
    return Sound(*fields)


@torch.no_grad()
def score_listener(network: Nano, bank: Bank, *, tagger: bool = False) -> dict[str, float]:
    """Misses and false alarms over classes and contexts, at the logit 0; of the tagger alone on demand."""
    sound = stored_sound(bank)
    labels = torch.from_numpy(np.array(bank.arrays["heard"])).float()[:, network.ids]
    logits = sound.evidence[:, -1] if tagger else network.listener(sound.evidence, sound.levels)
    yes, no = labels > 0, labels == 0
    return {
        "loss": round(float(_loss(logits, labels)), 4),
        "missed": round(float((logits[yes] <= 0).float().mean()), 4),
        "false": round(float((logits[no] > 0).float().mean()), 4),
    }


def _loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    weight = (labels >= 0).float() * (1 + (POSITIVE_WEIGHT - 1) * (labels > 0))
    return F.binary_cross_entropy_with_logits(logits, labels.clamp(min=0), weight=weight)
