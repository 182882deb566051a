"""What the relatives of CCFormer learn from scratch on the scenes of `test_listens`, each within a minute."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_runs import ALONE

from stream_avs.training.config import recipe
from stream_avs.training.data import open_split
from stream_avs.training.progress_view import ProgressView
from stream_avs.training.run_folder import RunFolder
from stream_avs.training.scoring import Protocol, score
from stream_avs.training.sound import Sound
from stream_avs.training.stop import StopRequest
from stream_avs.training.trainer import Trainer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def trained(name: str, out: Path, epochs: int, loss: dict[str, float]) -> Trainer:
    """A finished run with its best network."""
    torch.set_num_threads(1)
    settings = {
        "out": str(out), "epochs": epochs, "tensorboard": False, "pictures": 0, "loss": loss,
        "data": {"scenes": {"val_clips": 16, "test_clips": 40}},
    }  # fmt: skip
    config = recipe("scenes-tiny", kind=name, settings=settings)
    RunFolder(path=out).open(resume=False)
    trainer = Trainer(config, ALONE, ProgressView(enabled=False))
    assert trainer.run(StopRequest()).finished
    trainer.load_best()
    return trainer


def j(trainer: Trainer, sound: Sound) -> float:
    """J on the test split, with this sound."""
    config = trainer.config
    clips = open_split(
        replace(config.data, sound=sound), "test", config.model, trainer.network.audio_input,
        config.clip_frames,
    )  # fmt: skip
    protocol = Protocol(dataset="scenes", split="test", model="tiny", batch=8)
    return score(trainer.network, clips, protocol, ALONE).j


def test_avsac_learns_which_look_alike_sounds(tmp_path: Path) -> None:
    trainer = trained("avsac", tmp_path, epochs=3, loss={})
    assert j(trainer, Sound.OWN) > 0.8
    assert j(trainer, Sound.SILENCE) < 0.6


def test_tpavi_learns_which_look_alike_sounds(tmp_path: Path) -> None:
    trainer = trained("tpavi", tmp_path, epochs=3, loss={"dice": 1.0})
    assert j(trainer, Sound.OWN) > 0.75
    assert j(trainer, Sound.SILENCE) < 0.6
