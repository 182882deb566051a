"""Recipes are the paper's; what decides a run's course cannot be changed on the way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stream_avs.errors import ConfigError
from stream_avs.models.ccformer.config import ContrastPartner
from stream_avs.models.network_config import ImageEncoderName
from stream_avs.training.config import RECIPES, DatasetKind, recipe, same_run, shareable


@pytest.mark.parametrize(
    ("name", "epochs", "batch", "frozen", "frames", "classes"),
    [("s4", 60, 2, 10, 5, 1), ("ms3", 120, 2, 20, 5, 1), ("avss", 40, 6, 7, 10, 71)],
)
def test_paper_recipes(name: str, epochs: int, batch: int, frozen: int, frames: int, classes: int) -> None:
    config = recipe(name, root="/data")
    assert (config.epochs, config.batch, config.frozen_image_epochs) == (epochs, batch, frozen)
    assert (config.model.frames, config.model.classes) == (frames, classes)
    assert (config.schedule.learning_rate, config.weight_decay) == (2e-5, 0.01)
    assert (config.data.kind, config.data.root) == (DatasetKind(name), "/data")
    assert (config.augment, config.pretrained, config.train_audio_encoder) == (True, True, False)
    loss = config.loss
    assert (loss.dice, loss.cross_entropy, loss.contrast) == ((0, 1, 0) if name == "avss" else (1, 0, 0.1))


def test_network_and_ablations_go_on_top_of_a_recipe() -> None:
    settings = {"model": {"ave": False, "contrast": "none"}, "epochs": 3}
    config = recipe("avss", root="/data", network="r50", settings=settings)
    assert config.model.image_encoder is ImageEncoderName.RESNET50
    assert (config.model.frames, config.model.classes, config.model.ave) == (10, 71, False)
    assert (config.model.contrast, config.epochs) == (ContrastPartner.NONE, 3)


def test_all_recipes_are_valid_and_mistakes_are_named() -> None:
    for name in RECIPES:
        recipe(name, root="/data")
    with pytest.raises(ConfigError, match=r"no recipe 'ms4'.*Did you mean"):
        recipe("ms4")
    with pytest.raises(ConfigError, match="no preset 'pvt3'"):
        recipe("s4", network="pvt3")
    with pytest.raises(ConfigError, match=r"unknown key 'model\.avee'"):
        recipe("s4", settings={"model": {"avee": False}})
    with pytest.raises(ConfigError, match=r"setting batch is 3.*multiple of accumulation"):
        recipe("s4", settings={"batch": 3, "accumulation": 2})
    with pytest.raises(ConfigError, match=r"setting unroll is 2.*model.carry"):
        recipe("s4", settings={"unroll": 2})
    with pytest.raises(ConfigError, match=r"s4 needs a folder.*--root"):
        recipe("s4").data.require_root()


def test_only_what_does_not_decide_the_course_may_change() -> None:
    stored = recipe("s4", root="/data")
    same_run(
        replace(stored, workers=7, device="cpu", epochs=90, data=replace(stored.data, root="/moved")), stored
    )
    with pytest.raises(ConfigError, match="started with batch 2, not 4"):
        same_run(replace(stored, batch=4), stored)
    with pytest.raises(ConfigError, match=r"started with model\.ave True, not False"):
        same_run(replace(stored, model=replace(stored.model, ave=False)), stored)
    falling = recipe("scenes-tiny")
    with pytest.raises(ConfigError, match="epochs"):
        same_run(replace(falling, epochs=50), falling)


def test_shared_settings_name_no_folder_of_this_machine() -> None:
    config = recipe(
        "s4", root="/home/me/s4", settings={"out": "/home/me/out", "init_from": "/home/me/a.safetensors"}
    )
    assert "/home" not in str(shareable(config))
