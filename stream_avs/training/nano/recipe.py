"""The whole recipe: senses, banks, listener, trunk, thresholds, file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch

from stream_avs.config import ModelConfig
from stream_avs.engine.nano_stream import accelerate
from stream_avs.models.consensus.table import read_table
from stream_avs.models.nano.checkpoint import Thresholds, save_nano
from stream_avs.models.nano.config import NanoConfig, trunk_config
from stream_avs.models.nano.network import Nano
from stream_avs.models.nano.stream import NanoStream, assemble
from stream_avs.training.nano.assets import Assets
from stream_avs.training.nano.bank import Bank, build
from stream_avs.training.nano.calibrate import calibrate
from stream_avs.training.nano.clips import COUNTS
from stream_avs.training.nano.fit import FitConfig, fit
from stream_avs.training.nano.fit_listener import fit_listener, score_listener
from stream_avs.training.nano.validate import validate

SEEDS = {"train": 1, "val": 2}


def make_weights(data: Path, work: Path, out: Path, config: FitConfig, tell: Callable[[str], None]) -> None:
    """Make the weight file; what is already in `work` is not made again.

    Args:
        data: folder of pictures, sounds and talkers, see `assets`.
        work: for banks (4 GB), states and logs.
        out: the safetensors file.
        config: of the trunk's training.
        tell: is told what happens.

    Raises:
        DatasetError: `data` lacks something.
    """
    ids = read_table().ids.tolist()
    senses = load_senses(Nano(NanoConfig(), ids))
    banks = {}
    for split, seed in SEEDS.items():
        build(work / split, Assets(data, split), COUNTS[split], senses, seed, tell)
        banks[split] = Bank(work / split)
    run = work / f"run_{config.mode.value}"
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    network = Nano(NanoConfig(trunk=trunk_config(mode=config.mode)), ids)
    if not (run / "state.pt").exists():
        fit_listener(network, banks["train"], banks["val"], config.seed, tell)
    network = fit(network, banks["train"], banks["val"], run, config, tell)
    thresholds = calibrate(network, banks["val"], tell)
    scores = validate(network, banks["val"], 200)
    about = {
        "recipe": "python -m stream_avs.training.nano train",
        "mode": config.mode.value,
        "steps": config.steps,
        "seed": config.seed,
        "listener": score_listener(network, banks["val"]),
        "validation": scores,
    }
    save_nano(out, network, thresholds, about)
    tell(json.dumps(about))


def load_senses(network: Nano) -> NanoStream:
    """Eye and ear with the bundled weights, on the fastest backend here, around an untrained `network`."""
    return accelerate(assemble(network, Thresholds(), "untrained"), ModelConfig(preset="nano"))
