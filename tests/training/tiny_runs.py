"""Runs small enough for tests: a network of 0.2 M parameters on scenes of 32 x 32 pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from stream_avs.models.checkpoint import read_metadata
from stream_avs.models.load import read_weights
from stream_avs.training.config import TrainConfig, recipe
from stream_avs.training.distributed import Group
from stream_avs.training.progress_view import ProgressView
from stream_avs.training.run_folder import RunFolder
from stream_avs.training.state import TrainingState, read_state
from stream_avs.training.stop import StopRequest
from stream_avs.training.trainer import Outcome, Trainer

ALONE = Group(rank=0, size=1, device=torch.device("cpu"))

NETWORK: dict[str, Any] = {
    "d": 32, "heads": 2, "ffn": 32, "generator_ffn": 32, "ici_layers": 1, "mask_hidden": 8, "input_px": 32,
    "frames": 2, "queries": 2, "points": 2,
}  # fmt: skip


def tiny_config(out: Path, model: dict[str, Any] | None = None, **settings: Any) -> TrainConfig:
    """12 clips in batches of 4, so three steps an epoch; two epochs."""
    base: dict[str, Any] = {
        "out": str(out), "epochs": 2, "batch": 4, "tensorboard": False, "pictures": 1, "test": False,
        "model": {**NETWORK, **(model or {})},
        "data": {"scenes": {"train_clips": 12, "val_clips": 2, "test_clips": 2}},
    }  # fmt: skip
    return recipe("scenes-tiny", settings={**base, **settings})


def run(config: TrainConfig, *, resume: bool = False, stop: StopRequest | None = None) -> Outcome:
    """Run in this process."""
    return make(config, resume=resume).run(StopRequest() if stop is None else stop)


def make(config: TrainConfig, *, resume: bool = False) -> Trainer:
    """The trainer of a new or a resumed run."""
    torch.set_num_threads(1)
    folder = RunFolder(path=Path(config.out))
    folder.open(resume=resume)
    state: TrainingState | None = read_state(folder.last) if resume else None
    return Trainer(config, ALONE, ProgressView(enabled=False), state)


def assert_same_state(one: Path, other: Path) -> None:
    """Both training states hold the same bits and are equally far."""
    a, b = read_weights(one).tensors, read_weights(other).tensors
    assert a.keys() == b.keys()
    assert [key for key in a if not torch.equal(a[key], b[key])] == []
    key = "stream_avs.training"
    assert read_metadata(one)[key] == read_metadata(other)[key]
