"""The interface of trainable networks: names, checkpoints that describe themselves, steps that export."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from stream_avs.config import BackendName, ModelConfig
from stream_avs.engine.backends.export import export_onnx
from stream_avs.engine.window_engine import example_steps
from stream_avs.errors import ConfigError, WeightsError
from stream_avs.models.architectures import (
    ARCHITECTURES,
    Architecture,
    architecture,
    architecture_of,
    build,
    find_preset,
    preset_names,
)
from stream_avs.models.checkpoint import load_network, read_description, read_metadata, save_network
from stream_avs.models.network import Network, StatelessNetwork
from stream_avs.models.network_config import NetworkConfig
from stream_avs.models.registry import load_model

LABELS = ("background", "sounding")
KEY = "stream_avs.network"
each = pytest.mark.parametrize("one", ARCHITECTURES.values(), ids=lambda a: a.name)


@pytest.fixture(autouse=True)
def _quiet() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def tiny(one: Architecture) -> NetworkConfig:
    return one.preset("tiny", input_px=64, frames=2)


def test_presets_have_one_name_each_and_mistakes_are_named() -> None:
    names = preset_names()
    assert len(names) == sum(len(one.presets) for one in ARCHITECTURES.values())
    assert {"pvt2", "tpavi-pvt2", "avsac-r50"} <= names.keys()
    assert architecture_of(find_preset("tpavi-tiny")).name == "tpavi"
    assert find_preset("avsac-tiny", queries=5).queries == 5  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"no architecture 'tpav'.*'tpavi'"):
        architecture("tpav")
    with pytest.raises(ConfigError, match=r"AVSAC has no preset 'pvt'.*'pvt2'"):
        architecture("avsac").preset("pvt")
    with pytest.raises(ConfigError, match=r"AVSAC has no setting 'querys'.*'queries'"):
        find_preset("avsac-tiny", querys=5)


@each
def test_the_entry_fits_the_network(one: Architecture) -> None:
    assert "tiny" in one.presets
    assert all(type(config) is one.config for config in one.presets.values())
    network = build(tiny(one))
    assert isinstance(network, Network)
    children = dict(network.named_children())
    assert {"image_encoder", "audio_encoder", *network.never_trained} <= children.keys()


@each
def test_a_checkpoint_says_what_it_is(one: Architecture, tmp_path: Path) -> None:
    network, path = build(tiny(one)).eval(), tmp_path / "best.safetensors"
    save_network(path, network, LABELS, {"val_j": 0.5})
    loaded = load_network(path)
    assert type(loaded.network) is type(network)
    assert loaded.description.config == network.config
    assert loaded.description.about == {"val_j": 0.5}
    inputs = torch.rand(1, 2, 3, 64, 64), torch.randn(1, 2, *network.audio_shape)
    with torch.no_grad():
        ours, theirs = (n(*inputs, every_layer=False).masks[-1] for n in (network, loaded.network))
    assert torch.equal(ours, theirs)


@each
def test_a_checkpoint_runs_live_under_its_own_preset_alone(one: Architecture, tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    save_network(path, build(tiny(one)).eval(), LABELS, {})
    model = load_model(ModelConfig(preset=one.name, weights=str(path), threads=1, backend=BackendName.EAGER))
    assert model.id.startswith(f"{one.name}-")
    assert model.labels == {1: "sounding"}
    assert model.mask_shape == (64, 64)
    other = next(name for name in ARCHITECTURES if name != one.name)
    with pytest.raises(ConfigError, match=rf"is of architecture {one.name}, not {other}.*preset {one.name}"):
        load_model(ModelConfig(preset=other, weights=str(path)))
    with pytest.raises(ConfigError, match=f"preset {one.name} has no weights"):
        load_model(ModelConfig(preset=one.name))


def test_a_checkpoint_without_an_architecture_is_a_ccformer(tmp_path: Path) -> None:
    path = tmp_path / "old.safetensors"
    save_network(path, build(find_preset("tiny", input_px=32)), LABELS, {})
    content = json.loads(read_metadata(path)[KEY])
    del content["architecture"]
    save_file(load_file(path), path, {KEY: json.dumps(content)})
    assert architecture_of(read_description(path).config).name == "ccformer"
    content["architecture"] = "ccformr"
    save_file(load_file(path), path, {KEY: json.dumps(content)})
    with pytest.raises(WeightsError, match=r"no architecture 'ccformr'"):
        read_description(path)


@pytest.mark.slow  # half a minute each
@pytest.mark.parametrize("name", ["tpavi", "avsac"])
def test_both_halves_of_a_step_become_onnx(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    network = build(tiny(architecture(name))).eval()
    assert isinstance(network, StatelessNetwork)
    for k, step in enumerate(example_steps(network, 64, 1)):
        path = tmp_path / f"half{k}.onnx"
        export_onnx(step, path)
        session = onnxruntime.InferenceSession(path)
        given = [x for x in torch.utils._pytree.tree_leaves(step.example) if isinstance(x, torch.Tensor)]
        feed = {i.name: x.numpy() for i, x in zip(session.get_inputs(), given, strict=True)}
        with torch.no_grad():
            wanted = torch.utils._pytree.tree_leaves(step.module(*step.example))
        for ours, theirs in zip(wanted, session.run(None, feed), strict=True):
            torch.testing.assert_close(torch.from_numpy(theirs), ours, rtol=1e-3, atol=1e-4)
