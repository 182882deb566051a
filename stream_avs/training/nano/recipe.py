"""The whole recipe: senses, banks, listener, trunk, thresholds, file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch

from stream_avs.models.consensus.table import LabelTable, read_table
from stream_avs.models.load import BUNDLED, load_weights
from stream_avs.models.nano.checkpoint import save_nano
from stream_avs.models.nano.config import NanoConfig
from stream_avs.models.nano.network import Nano
from stream_avs.models.nano.senses import Ear, Eye
from stream_avs.training.nano.assets import Assets
from stream_avs.training.nano.bank import COUNTS, Bank, build
from stream_avs.training.nano.calibrate import calibrate
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
    eye, ear, table = load_senses()
    banks = {}
    for split, seed in SEEDS.items():
        build(work / split, Assets(data, split), COUNTS[split], eye, ear, seed, tell)
        banks[split] = Bank(work / split)
    run = work / "run"
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    network = Nano(NanoConfig(), table.ids.tolist())
    if not (run / "state.pt").exists():
        fit_listener(network, banks["train"], banks["val"], config.seed, tell)
    network = fit(network, banks["train"], banks["val"], run, config, tell)
    thresholds = calibrate(network, banks["val"], tell)
    scores = validate(network, banks["val"], 40)
    about = {
        "recipe": "python -m stream_avs.training.nano train",
        "steps": config.steps,
        "seed": config.seed,
        "listener": score_listener(network, banks["val"]),
        "validation": scores,
    }
    save_nano(out, network, thresholds, about)
    tell(json.dumps(about))


def load_senses() -> tuple[Eye, Ear, LabelTable]:
    """Eye, ear and label table with the bundled weights."""
    table = read_table()
    eye, ear = Eye(), Ear(table)
    load_weights(eye.network, BUNDLED / "espnetv2_s2_voc384.safetensors")
    load_weights(ear.network, BUNDLED / "mn04_as.safetensors")
    return eye.to(memory_format=torch.channels_last), ear, table  # type: ignore[call-overload]
