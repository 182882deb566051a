"""The whole of C3N: guidance in all its forms, streaming against batch, and what it may be built from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from stream_avs.datasets.scenes import ProceduralSource
from stream_avs.errors import ConfigError, WeightsError
from stream_avs.models.c3n.config import PRESETS, C3NConfig, Guidance
from stream_avs.models.c3n.labels import SCENE_LABELS
from stream_avs.models.c3n.network import C3N
from stream_avs.models.c3n.published import load_classifiers
from stream_avs.models.load import BUNDLED, read_weights
from stream_avs.models.network_config import AudioEncoderName, ImageEncoderName

torch.set_num_threads(1)
B, T, PX = 2, 3, 32


def tiny(**changes: Any) -> C3N:
    torch.manual_seed(0)
    network = C3N(replace(PRESETS["tiny"], input_px=PX, frames=T, **changes)).eval()
    for mix in network.interaction:  # the new network's interaction is zero; here frames shall meet
        torch.nn.init.normal_(mix.scale.weight)
    return network


def window(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(B, T, 3, PX, PX, generator=draw), torch.randn(B, T, 1, 96, 64, generator=draw)


@pytest.mark.parametrize("guidance", list(Guidance))
@pytest.mark.parametrize("classes", [1, 4])
def test_shapes(guidance: Guidance, classes: int) -> None:
    network = tiny(guidance=guidance, classes=classes)
    output = network(*window())
    assert output.masks[-1].shape == (B, T, classes, PX, PX)
    assert output.sounding.shape == (B, T)
    heads = 4 if guidance is Guidance.LINEAR else 1
    assert [tuple(x.shape) for x in output.classified] == [(B, T, 6)] * (heads + 1)


@torch.no_grad()
def test_streaming_equals_batch() -> None:
    """The newest frame alone, with what was kept of the older ones, gives the mask of the whole window."""
    network = tiny()
    frames, audio = window()
    whole = network(frames, audio).masks[-1][:, -1:]
    steps = [network.encode_frames(frames[:, t : t + 1], audio[:, t : t + 1]) for t in range(T)]
    kept = [torch.cat(leaves, dim=1) for leaves in zip(*(step.shared for step in steps), strict=True)]
    newest = network.segment(steps[-1].own, kept).masks[-1]
    assert torch.allclose(newest, whole, atol=1e-5)
    alone = network.segment(steps[-1].own, [x[:, -1:] for x in kept]).masks[-1]
    assert not torch.allclose(alone, whole, atol=1e-3)


def test_the_last_map_needs_no_gradient() -> None:
    """Of the paper's form, the last map's part is what the look-up gives; the network runs without grad."""
    by_gradient, by_row = tiny(guidance=Guidance.GRADIENT), tiny(guidance=Guidance.LAST)
    by_row.load_state_dict(by_gradient.state_dict())
    frames, audio = window()
    heard = by_gradient.hearing(by_gradient.listen(audio).mean(1))
    paper, _ = by_gradient.attended(frames, heard)
    with torch.no_grad():
        ours, _ = by_row.attended(frames, heard)
    assert torch.allclose(ours[-1], paper[-1], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(ours[0], paper[0], atol=1e-3)


def test_the_gradient_form_works_without_grad_and_frozen() -> None:
    network = tiny(guidance=Guidance.GRADIENT)
    with_grad = network(*window()).masks[-1]
    network.requires_grad_(False)
    with torch.no_grad():
        without = network(*window()).masks[-1]
    assert not without.requires_grad
    assert torch.allclose(without, with_grad, atol=1e-6)
    with torch.inference_mode(), pytest.raises(ConfigError, match="back-propagates"):
        network(*window())


def test_every_part_learns() -> None:
    network = tiny()
    output = network(*window())
    (output.masks[-1].mean() + sum(x.square().mean() for x in output.classified)).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_what_is_heard_steers_the_attention() -> None:
    network = tiny()
    frames, _ = window()
    heard = torch.full((B * T, 6), -9.0)
    maps = []
    for k in (0, 3):
        logits = heard.clone()
        logits[:, k] = 9.0
        maps.append(network.attended(frames, logits)[0][-1])
    assert not torch.allclose(maps[0], maps[1], atol=1e-4)


def test_the_tiny_preset_names_the_classes_of_composed_scenes() -> None:
    assert ProceduralSource(3, 2).class_names[1:] == SCENE_LABELS


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": ()},
        {"labels": (), "image_encoder": ImageEncoderName.PVTV2_B0},
        {"labels": (), "image_encoder": ImageEncoderName.PVTV2_B0, "audio_encoder": AudioEncoderName.MN04},
        {"labels": ("alone",)},
        {"d": 48},
        {"power": 0.0},
        {"dilations": (0, 1, 2)},
    ],
)
def test_refuses(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        replace(PRESETS["tiny"], **changes)


def published() -> C3N:
    config = C3NConfig(image_encoder=ImageEncoderName.PVTV2_B0, audio_encoder=AudioEncoderName.MN04, d=32)
    return C3N(config)


def test_published_classifiers(tmp_path: Path) -> None:
    network = published()
    head = {"head.weight": torch.randn(1000, 256), "head.bias": torch.randn(1000)}
    safetensors.torch.save_file(head, tmp_path / "pvt_v2_b0.safetensors")
    load_classifiers(network, tmp_path)
    assert torch.equal(network.seeing[0].weight, head["head.weight"])
    tagger = read_weights(BUNDLED / "mn04_as.safetensors").tensors
    assert torch.equal(network.hearing[2].bias, tagger["classifier.5.bias"])
    assert network.never_trained == ("seeing", "hearing")
    assert network.similarity.shape == (1000, 527)
    assert network.similarity[207, 75] > network.similarity[281, 75] > 0  # golden retriever, tabby; bark


def test_published_file_without_a_classifier(tmp_path: Path) -> None:
    safetensors.torch.save_file({"x": torch.zeros(1)}, tmp_path / "pvt_v2_b0.safetensors")
    with pytest.raises(WeightsError, match="missing: weight, bias"):
        load_classifiers(published(), tmp_path)


def test_a_similarity_of_ones_own(tmp_path: Path) -> None:
    matrix = np.random.default_rng(0).random((6, 6)).astype(np.float32)
    np.save(tmp_path / "own.npy", matrix)
    network = tiny(similarity=str(tmp_path / "own.npy"))
    network.begin()
    assert np.array_equal(network.similarity.numpy(), matrix)
    assert network.config.similarity == "own.npy"  # checkpoints hold no paths
    assert "similarity" in network.state_dict()
