"""C3N with a tagger beside its audio encoder: the paper's formula with its probabilities, and its files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from stream_avs.audio.front_end import MN04, VGGISH
from stream_avs.datasets.files import read_audio
from stream_avs.errors import ConfigError
from stream_avs.models.backbones.mn04 import Mn04
from stream_avs.models.c3n.config import PRESETS, C3NConfig, Guidance, Tagger
from stream_avs.models.c3n.labels import audioset_labels, similarity
from stream_avs.models.c3n.network import C3N
from stream_avs.models.c3n.published import MN04_FILE
from stream_avs.models.checkpoint import load_network, read_metadata, save_network
from stream_avs.models.load import load_weights
from stream_avs.models.network_config import AudioEncoderName, ImageEncoderName
from stream_avs.training.config import recipe
from stream_avs.training.parts import enter_epoch, trained

torch.set_num_threads(1)
B, T, PX = 2, 3, 32
KINDS = ("dog", "cat", "person", "train")


def config(**changes: Any) -> C3NConfig:
    settings = {"input_px": PX, "frames": T, "labels": KINDS, "tagger": Tagger.MN04, **changes}
    return replace(PRESETS["tiny"], **settings)


def tagging(**changes: Any) -> C3N:
    """As a training run begins: all weights are random, but for the tagger's."""
    torch.manual_seed(0)
    network = C3N(config(**changes)).eval()
    network.begin()
    return network


@pytest.fixture(scope="module")
def alone() -> Mn04:
    """The tagger as it comes with the package."""
    tagger = Mn04().eval()
    load_weights(tagger, MN04_FILE)
    return tagger


def window(network: C3N) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise to see; to hear as well, a bit louder from frame to frame, as the front ends make it."""
    rng = np.random.default_rng(0)
    sound = rng.standard_normal((B, T, 64_000)).astype(np.float32) * np.linspace(0.01, 0.3, T)[:, None]
    heard = [[network.audio_input(frame.astype(np.float32)) for frame in clip] for clip in sound]
    frames = torch.rand(B, T, 3, PX, PX, generator=torch.Generator().manual_seed(0))
    return frames, torch.from_numpy(np.array(heard))


def test_encoder_and_tagger_each_hear_their_own_log_mel(alone: Mn04) -> None:
    network = tagging()
    assert network.audio_input.front_ends == (VGGISH, MN04)
    _, audio = window(network)
    row = audio[1, 2].numpy()
    of_encoder = torch.from_numpy(row[: 96 * 64]).view(1, 1, 96, 64)
    of_tagger = torch.from_numpy(row[96 * 64 :]).view(1, 1, 128, 200)
    with torch.no_grad():
        tokens = network.listen(audio)
        logits = network.tag(audio, tokens.mean(1))
        torch.testing.assert_close(tokens[-1:], network.audio_encoder(of_encoder))
        torch.testing.assert_close(logits[-1:], alone(of_tagger).logits, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_consensus_is_the_papers_formula_with_the_taggers_probabilities(alone: Mn04) -> None:
    """Of M_cof[i, j] = P_v(i)^0.1 S(i, j) P_a(j)^0.1 the row of the largest entry guides the attention."""
    network = tagging()
    frames, audio = window(network)
    heard = network.tag(audio, network.listen(audio).mean(1))
    maps = network.look(frames)
    seen = network.seeing[-1](maps[-1].mean((2, 3)))
    p_seen = seen.double().softmax(-1).numpy()
    p_heard = alone(network.sounds(audio)[1]).logits.double().softmax(-1).numpy()
    resembles = similarity(KINDS, audioset_labels())
    assert resembles.shape == (4, 527)
    found = network.consensus(seen, heard)
    images, _ = network.attended(frames, heard)
    for f in range(B * T):
        matrix = p_seen[f, :, None] ** 0.1 * resembles * p_heard[f, None, :] ** 0.1
        i, j = np.unravel_index(matrix.argmax(), matrix.shape)
        assert (found.label[f].item(), found.heard[f].item()) == (i, j)
        assert found.confidence[f].item() == pytest.approx(matrix[i, j], rel=1e-4)
        row = network.seeing[-1].weight[int(i)]
        gated = maps[-1][f] * (row / row.norm()).sigmoid()[:, None, None]
        torch.testing.assert_close(images[-1][f], gated * gated.mean(0).sigmoid())


def test_speech_speaks_for_people(talkers: Path) -> None:
    """With nothing to choose between by eye, what the tagger hears decides."""
    network = tagging()
    sound = read_audio(talkers, 32_000)[32_000 : 3 * 32_000]
    audio = torch.from_numpy(network.audio_input(sound))[None, None]
    with torch.no_grad():
        heard = network.tag(audio, network.listen(audio).mean(1))
        found = network.consensus(torch.zeros(1, len(KINDS)), heard)
    assert KINDS[found.label.item()] == "person"
    assert "peech" in audioset_labels()[int(found.heard.item())]


def test_the_tagger_never_trains_and_all_else_does() -> None:
    network = tagging()
    run = recipe("scenes-tiny", kind="c3n")
    enter_epoch(network, replace(run, train_audio_encoder=True), 0)
    assert not network.tagger.training
    parameters = trained(network, replace(run, train_audio_encoder=True))
    assert {name.split(".")[0] for name, _ in network.named_parameters()} - {
        name.split(".")[0] for name in parameters
    } == {"tagger"}
    for mix in network.interaction:  # the new network's interaction is zero
        torch.nn.init.normal_(mix.scale.weight)
    output = network(*window(network))
    assert [tuple(x.shape) for x in output.classified] == [(B, T, 4)] * 4  # eyes learn, the ear knows
    (output.masks[-1].mean() + sum(x.square().mean() for x in output.classified)).backward()
    assert {name for name, p in network.named_parameters() if p.grad is None} == {
        f"tagger.{name}" for name, _ in network.tagger.named_parameters()
    }


@pytest.mark.parametrize("guidance", list(Guidance))
def test_every_form_of_guidance_takes_the_taggers_labels(guidance: Guidance) -> None:
    network = tagging(guidance=guidance)
    with torch.no_grad():
        output = network(*window(network))
    assert output.masks[-1].shape == (B, T, 1, PX, PX)
    assert bool(torch.isfinite(output.masks[-1]).all())
    assert len(output.classified) == (4 if guidance is Guidance.LINEAR else 1)


def test_published_classes_seen_beside_the_tagger(tmp_path: Path, alone: Mn04) -> None:
    network = C3N(config(labels=(), image_encoder=ImageEncoderName.PVTV2_B0, guidance=Guidance.LAST))
    head = {"head.weight": torch.randn(1000, 256), "head.bias": torch.randn(1000)}
    save_file(head, tmp_path / "pvt_v2_b0.safetensors")
    network.begin()
    network.load_published(tmp_path)
    assert torch.equal(network.seeing[0].weight, head["head.weight"])
    assert torch.equal(network.tagger.classifier[5].weight, alone.classifier[5].weight)
    assert network.similarity.shape == (1000, 527)
    with torch.no_grad():
        output = network.eval()(*window(network))
    assert len(output.classified) == 0
    assert bool(torch.isfinite(output.masks[-1]).all())


def test_a_checkpoint_holds_the_tagger_and_says_so(tmp_path: Path, alone: Mn04) -> None:
    network, path = tagging(), tmp_path / "best.safetensors"
    save_network(path, network, ("background", "sounding"), {})
    loaded = load_network(path).network
    assert isinstance(loaded, C3N)
    assert loaded.config == network.config
    assert loaded.config.tagger is Tagger.MN04
    for key, value in alone.state_dict().items():
        assert torch.equal(loaded.tagger.state_dict()[key], value)
    inputs = window(network)
    with torch.no_grad():
        assert torch.equal(loaded(*inputs).masks[-1], network(*inputs).masks[-1])


def test_a_checkpoint_from_before_there_was_a_choice_hears_by_itself(tmp_path: Path) -> None:
    path, key = tmp_path / "old.safetensors", "stream_avs.network"
    save_network(path, C3N(config(tagger=Tagger.OWN)), ("background", "sounding"), {})
    content = json.loads(read_metadata(path)[key])
    del content["config"]["tagger"]
    save_file(load_file(path), path, {key: json.dumps(content)})
    loaded = load_network(path).network
    assert isinstance(loaded, C3N)
    assert loaded.config.tagger is Tagger.OWN
    assert loaded.hearing[2].out_features == len(KINDS)


def test_a_similarity_of_ones_own_has_a_column_for_each_of_audiosets_labels(tmp_path: Path) -> None:
    matrix = np.random.default_rng(0).random((2, 527)).astype(np.float32)
    np.save(tmp_path / "own.npy", matrix)
    network = tagging(labels=("red disc", "blue disc"), similarity=str(tmp_path / "own.npy"))
    assert np.array_equal(network.similarity.numpy(), matrix)


def test_the_papers_preset_is_vggish_beside_a_tagger() -> None:
    preset = PRESETS["pvt2"]
    assert preset.stands_on == ("pvt_v2_b5", "vggish", "tagger mn04")
    assert (len(preset.seen), len(preset.heard)) == (1000, 527)
    with torch.device("meta"):
        network = C3N(preset)
    assert network.never_trained == ("seeing", "tagger")
    assert network.audio_shape == (96 * 64 + 128 * 200,)
    assert sum(p.numel() for p in network.tagger.parameters()) == 983_599


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"audio_encoder": AudioEncoderName.MN04}, r"model\.tagger is 'mn04'.*own.*is that tagger already"),
        ({"labels": ("red disc", "blue disc")}, r"resembles one of AudioSet's.*\[2, 527\].*tagger own"),
        ({"labels": ()}, r"model\.image_encoder is 'tiny'.*PVTv2"),
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config(**changes)


def test_vggish_alone_has_no_labels_to_hear() -> None:
    with pytest.raises(ConfigError, match=r"model\.audio_encoder is 'vggish'.*model\.tagger mn04"):
        C3NConfig(tagger=Tagger.OWN)
