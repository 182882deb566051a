"""A tiny CCFormer learns from scratch which of two look-alikes sounds. It can only know by listening.

Two minutes of one core. Every clip shows the same shape in two colours; the colour tells the pitch,
and one of the two sounds. Marking both, or guessing, gives a J of about one half.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from tiny_runs import ALONE

from stream_avs.models.checkpoint import load_network
from stream_avs.training.config import TrainConfig, recipe
from stream_avs.training.data import open_split
from stream_avs.training.progress_view import ProgressView
from stream_avs.training.run_folder import RunFolder
from stream_avs.training.scoring import Protocol, score
from stream_avs.training.sound import Sound
from stream_avs.training.stop import StopRequest
from stream_avs.training.trainer import Trainer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

EPOCHS = 3  # 150 steps of 8 clips, each of them new


@dataclass(frozen=True)
class Trained:
    """A finished run."""

    config: TrainConfig

    def j(self, sound: Sound) -> float:
        """J of the best checkpoint on the test split, with this sound."""
        network = load_network(RunFolder(path=Path(self.config.out)).best).network
        data = replace(self.config.data, sound=sound)
        clips = open_split(data, "test", self.config.model, network.audio_input, self.config.clip_frames)
        return score(network, clips, Protocol(dataset="scenes", split="test", model="tiny", batch=8), ALONE).j


def trained(out: Path, sound: Sound) -> Trained:
    torch.set_num_threads(1)
    settings = {
        "out": str(out), "epochs": EPOCHS, "tensorboard": False, "pictures": 0,
        "data": {"sound": str(sound), "scenes": {"val_clips": 16, "test_clips": 60}},
    }  # fmt: skip
    config = recipe("scenes-tiny", settings=settings)
    RunFolder(path=out).open(resume=False)
    assert Trainer(config, ALONE, ProgressView(enabled=False)).run(StopRequest()).finished
    return Trained(config)


@pytest.fixture(scope="module")
def hearing(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained(tmp_path_factory.mktemp("hearing"), Sound.OWN)


def test_learns_which_look_alike_sounds(hearing: Trained) -> None:
    assert hearing.j(Sound.OWN) > 0.8


@pytest.mark.parametrize("sound", [Sound.SILENCE, Sound.OTHER])
def test_without_the_right_sound_it_cannot_tell(hearing: Trained, sound: Sound) -> None:
    assert hearing.j(sound) < 0.65


def test_what_is_trained_deaf_never_learns_to_tell(tmp_path: Path) -> None:
    deaf = trained(tmp_path, Sound.SILENCE)
    assert deaf.j(Sound.SILENCE) < 0.6
    assert deaf.j(Sound.OWN) < 0.6
