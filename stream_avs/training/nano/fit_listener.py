"""Train the listener alone, on sounds alone: a minute, before anything is seen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from stream_avs.models.nano.network import Nano
from stream_avs.models.nano.senses import Sound
from stream_avs.training.nano.bank import Bank
from stream_avs.training.nano.clips import FRAMES
from stream_avs.training.nano.dialogues import KINDS as DIALOGUES

STEPS = 2500
BATCH = 256
RATE = 3e-3
WEIGHT_DECAY = 1e-3
POSITIVE_WEIGHT = 2.0


def fit_listener(network: Nano, train: Bank, val: Bank, seed: int, tell: Callable[[str], None]) -> None:
    """Fit `network.listener` to what sounds at each frame."""
    sound, labels = stored_sound(train), stored_labels(train, network)
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


def listened(bank: Bank) -> NDArray[np.int64]:
    """Rows of the contexts to learn from: as many of each track, so that voices do not outnumber the rest."""
    unlabelled = {clip.track for clip in bank.clips if clip.kind in DIALOGUES}
    starts = [start for track, start in enumerate(bank.tracks) if track not in unlabelled]
    return (np.array(starts)[:, None] + np.arange(FRAMES)).ravel()


def stored_sound(bank: Bank) -> Sound:
    """What is heard in the bank."""
    rows = listened(bank)
    fields = (torch.from_numpy(bank.arrays[n][rows]).float() for n in ("evidence", "levels"))
    return Sound(*fields)


def stored_labels(bank: Bank, network: Nano) -> torch.Tensor:
    """Which class of the network sounds in it, [F, classes]: 1, 0, or -1 for unknown."""
    return torch.from_numpy(bank.arrays["heard"][listened(bank)]).float()[:, network.ids]


@torch.no_grad()
def score_listener(network: Nano, bank: Bank, *, tagger: bool = False) -> dict[str, float]:
    """Misses and false alarms over classes and contexts, at the logit 0; of the tagger alone on demand."""
    sound, labels = stored_sound(bank), stored_labels(bank, network)
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
