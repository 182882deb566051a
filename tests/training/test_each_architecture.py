"""Every architecture goes the whole way by the same commands: train, eval, live."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from stream_avs.cli import main
from stream_avs.config import BackendName, ModelConfig
from stream_avs.engine.warm_up import warm_up
from stream_avs.errors import ConfigError
from stream_avs.models.architectures import ARCHITECTURES, architecture
from stream_avs.models.checkpoint import read_description
from stream_avs.models.load import BUNDLED
from stream_avs.models.loss_config import LossConfig
from stream_avs.models.registry import load_model
from stream_avs.training.config import TrainConfig, recipe, train_config

SHORT = [
    "--model.input-px", "32", "--model.frames", "2", "--max-steps", "2", "--batch", "2", "--epochs", "1",
    "--no-tensorboard", "--device", "cpu", "--no-test", "--pictures", "0",
    "--data.scenes.train-clips", "4", "--data.scenes.val-clips", "2",
]  # fmt: skip


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name != "ccformer"])
def test_train_eval_and_live(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.set_num_threads(1)
    out = tmp_path / "run"
    assert main(["train", "--preset", "scenes-tiny", "--architecture", name, "--out", str(out), *SHORT]) == 0
    best = out / "best.safetensors"
    assert read_description(best).about["training"]["architecture"] == name
    report = json.loads((out / "report.json").read_text())
    assert report["title"] == f"{architecture(name).title} on scenes"
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert all(np.isfinite(entry["loss"]) for entry in log if "loss" in entry)

    capsys.readouterr()
    assert main(["eval", str(best), "--limit", "2", "--json", "--threads", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["clips"] == 2

    model = load_model(ModelConfig(preset=name, weights=str(best), threads=1, backend=BackendName.EAGER))
    assert warm_up(model) > 0
    assert model.mask_shape == (32, 32)

    assert main(["train", "--resume", str(out), "--max-steps", "2"]) == 0  # there is nothing left to do


def test_c3n_with_a_tagger_goes_the_same_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Composed scenes have classes that AudioSet has no words for: what sounds like which comes as a file."""
    torch.set_num_threads(1)
    out, own = tmp_path / "run", tmp_path / "own.npy"
    np.save(own, np.random.default_rng(0).random((6, 527)).astype(np.float32))
    train = ["train", "--preset", "scenes-tiny", "--architecture", "c3n", "--model.tagger", "mn04"]
    assert main([*train, "--out", str(out), *SHORT]) == 2
    assert "model.similarity" in capsys.readouterr().err
    assert main([*train, "--model.similarity", str(own), "--out", str(out), *SHORT]) == 0
    best = out / "best.safetensors"
    assert (
        json.loads((out / "report.json").read_text())["settings"]["network"]
        == "C3N: tiny + tiny + tagger mn04"
    )
    trained, published = load_file(best), load_file(BUNDLED / "mn04_as.safetensors")
    assert all(torch.equal(trained[f"tagger.{key}"], value) for key, value in published.items())

    capsys.readouterr()
    assert main(["eval", str(best), "--limit", "2", "--json", "--threads", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["clips"] == 2
    model = load_model(ModelConfig(preset="c3n", weights=str(best), threads=1, backend=BackendName.EAGER))
    assert (model.sample_rate_hz, model.context_s) == (32_000, 2.0)
    assert warm_up(model) > 0
    assert main(["train", "--resume", str(out), "--max-steps", "2"]) == 0


def test_recipes_follow_the_architecture() -> None:
    config = recipe("scenes-tiny", kind="tpavi", settings={"loss": {"match": 0.0, "avfs": 0.2}})
    assert config.architecture == "tpavi"
    assert type(config.model) is architecture("tpavi").config
    assert (config.model.frames, config.model.input_px) == (3, 64)
    assert config.loss == LossConfig(dice=0.0, cross_entropy=1.0, contrast=0.0, avfs=0.2)
    avss = recipe("avss", root="/data", kind="avsac")
    assert (avss.model.classes, avss.model.frames, avss.loss.cross_entropy) == (71, 10, 1.0)
    assert recipe("s4", root="/data").architecture == "ccformer"
    assert recipe("s4", root="/data", network="r50", kind="tpavi").model.image_encoder == "resnet50"
    assert recipe("scenes-tiny", settings={"architecture": "avsac"}).architecture == "avsac"
    assert train_config({"architecture": "avsac"}).loss == architecture("avsac").loss


def test_settings_of_another_architecture_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'model\.ici_layers'"):
        train_config({"architecture": "tpavi", "model": {"ici_layers": 2}})
    with pytest.raises(ConfigError, match=r"no architecture 'tpavy'.*'tpavi'"):
        train_config({"architecture": "tpavy"})
    with pytest.raises(ConfigError, match="CCFormerConfig"):
        TrainConfig(architecture="tpavi")
    with pytest.raises(ConfigError, match=r"loss\.mix is 0\.1, and TPAVI has no such term"):
        train_config({"architecture": "tpavi", "loss": {"mix": 0.1}})
    with pytest.raises(ConfigError, match=r"unroll.*carries"):
        train_config({"architecture": "tpavi", "unroll": 2})
