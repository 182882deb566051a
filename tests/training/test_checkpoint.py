"""Checkpoints hold their config; what does not fit is named."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_runs import NETWORK, make, tiny_config

from stream_avs.errors import WeightsError
from stream_avs.models.ccformer.ccformer import CCFormer
from stream_avs.models.ccformer.config import preset
from stream_avs.models.checkpoint import load_network, read_description, read_metadata, save_network
from stream_avs.training.run_folder import RunFolder

LABELS = ("background", "sounding")
KEY = "stream_avs.network"


@pytest.fixture(scope="module")
def network() -> CCFormer:
    torch.manual_seed(0)
    return CCFormer(preset("tiny", **NETWORK)).eval()


@pytest.fixture
def saved(network: CCFormer, tmp_path: Path) -> Path:
    path = tmp_path / "best.safetensors"
    save_network(path, network, LABELS, {"val_j": 0.5})
    return path


def rewrite(path: Path, **changes: object) -> None:
    """Change what the metadata says about the network."""
    content = json.loads(read_metadata(path)[KEY]) | changes
    save_file(load_file(path), path, {KEY: json.dumps(content)})


def test_network_comes_back_as_it_was(network: CCFormer, saved: Path) -> None:
    loaded = load_network(saved)
    assert loaded.description.config == network.config
    assert loaded.description.labels == LABELS
    assert loaded.description.about == {"val_j": 0.5}
    assert not loaded.network.training
    theirs = loaded.network.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in network.state_dict().items())


def test_training_state_loads_as_a_network_too(tmp_path: Path) -> None:
    trainer = make(tiny_config(tmp_path))
    trainer._save()
    loaded = load_network(RunFolder(path=tmp_path).last)
    theirs = loaded.network.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in trainer.network.state_dict().items())


def test_missing_damaged_and_foreign_files_are_refused(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        load_network(tmp_path / "none.safetensors")
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(saved.read_bytes()[:5000])
    with pytest.raises(WeightsError, match=r"damaged\.safetensors cannot be read"):
        load_network(damaged)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(1)}, foreign)
    with pytest.raises(WeightsError, match=r"no checkpoint of a network.*stream-avs train"):
        load_network(foreign)


def test_missing_and_unexpected_tensors_are_named(saved: Path) -> None:
    tensors, metadata = load_file(saved), read_metadata(saved)
    tensors["audio_projection.wait"] = tensors.pop("audio_projection.weight")
    save_file(tensors, saved, metadata)
    with pytest.raises(
        WeightsError, match=r"missing: audio_projection\.weight; unexpected: audio_projection\.wait"
    ):
        load_network(saved)


def test_wrong_number_of_classes_is_named(network: CCFormer, saved: Path) -> None:
    rewrite(saved, config=asdict(replace(network.config, classes=7)), labels=[str(k) for k in range(7)])
    with pytest.raises(WeightsError, match=r"head\.classify\.weight \(1, .*\) instead of \(7, "):
        load_network(saved)
    rewrite(saved, labels=["background"])
    with pytest.raises(WeightsError, match="1 labels for 7 classes"):
        read_description(saved)


def test_config_of_another_version_is_named(network: CCFormer, saved: Path) -> None:
    rewrite(saved, config={**asdict(network.config), "depth": 3})
    with pytest.raises(WeightsError, match="its config does not fit: unknown key 'depth'"):
        load_network(saved)
    rewrite(saved, format=2)
    with pytest.raises(WeightsError, match="has format 2, this version reads 1"):
        load_network(saved)


def test_run_starts_from_another_runs_network(saved: Path, tmp_path: Path) -> None:
    trainer = make(tiny_config(tmp_path / "next", {"carry": True, "sounding": True}, init_from=str(saved)))
    theirs = load_network(saved).network.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in trainer.network.state_dict().items())
    scenes = {"train_clips": 12, "val_clips": 2, "shapes": 1}
    with pytest.raises(WeightsError, match=r"head\.classify\.weight \(1, "):
        make(
            tiny_config(
                tmp_path / "other", {"carry": True, "sounding": True, "classes": 3}, init_from=str(saved),
                data={"scenes": scenes},
            )
        )  # fmt: skip


def test_state_of_another_network_does_not_resume(tmp_path: Path) -> None:
    trainer = make(tiny_config(tmp_path / "a"))
    trainer._save()
    from stream_avs.training.state import read_state

    state = read_state(RunFolder(path=tmp_path / "a").last)
    other = make(tiny_config(tmp_path / "b", {"iti": False}))
    with pytest.raises(WeightsError, match="does not fit CCFormer: unexpected: "):
        state.apply(other.network, other.optimizer, other.parameters)
