"""The random generators' states as tensors, to be stored beside the weights."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import Tensor


def seed_all(seed: int) -> None:
    """Start Python's, numpy's and torch's generators from one number."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def capture() -> dict[str, Tensor]:
    """Read the state of all global generators of this process."""
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    assert name == "MT19937"
    state = {
        "python": torch.tensor([version, *words], dtype=torch.int64),
        "python_gauss": torch.tensor([] if gauss is None else [gauss], dtype=torch.float64),
        "numpy": torch.tensor([*(int(k) for k in keys), position, has_gauss], dtype=torch.int64),
        "numpy_gauss": torch.tensor([cached], dtype=torch.float64),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore(state: dict[str, Tensor]) -> None:
    """Put all global generators back to what `capture` read."""
    version, *words = (int(v) for v in state["python"])
    gauss = state["python_gauss"]
    random.setstate((version, tuple(words), float(gauss[0]) if gauss.numel() else None))
    *keys, position, has_gauss = (int(v) for v in state["numpy"])
    cached = float(state["numpy_gauss"][0])
    np.random.set_state(("MT19937", np.array(keys, np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
