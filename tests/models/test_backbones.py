"""The large encoders: published key names, parameter counts, shapes, and arithmetic."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from stream_avs.models.backbones.pvtv2 import VARIANTS, PVTv2
from stream_avs.models.backbones.resnet50 import ResNet50
from stream_avs.models.backbones.tiny import TinyAudioEncoder, TinyImageEncoder
from stream_avs.models.backbones.vggish import VGGish
from stream_avs.models.encoders import (
    as_audio_encoder,
    as_image_encoder,
    build_audio_encoder,
    build_image_encoder,
)
from stream_avs.models.flops import count_macs, count_parameters
from stream_avs.models.network_config import AudioEncoderName, ImageEncoderName

META = torch.device("meta")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("build", "parameters"),
    [
        (lambda: PVTv2("b5"), 81_443_008),
        (ResNet50, 23_508_032),
        (VGGish, 72_141_184),
    ],
)
def test_parameters(build, parameters: int) -> None:
    with META:
        assert count_parameters(build()) == parameters


@pytest.mark.parametrize(
    ("variant", "millions"), [("b0", 3.4), ("b1", 13.5), ("b2", 24.8), ("b3", 44.7), ("b4", 62.0)]
)
def test_parameters_of_the_smaller_pvts_are_the_published_ones_less_a_classifier(
    variant: str, millions: float
) -> None:
    with META:
        assert count_parameters(PVTv2(variant)) / 1e6 == pytest.approx(millions, abs=0.1)


def test_macs_of_pvt_b5_are_the_published_ones() -> None:
    with META:
        macs = count_macs(PVTv2("b5").eval(), torch.empty(1, 3, 224, 224)).total()
    assert macs / 1e9 == pytest.approx(11.8, abs=0.1)


def test_macs_of_vggish() -> None:
    with META:
        assert count_macs(VGGish(), torch.empty(1, 1, 96, 64)).total() / 1e9 == pytest.approx(
            0.864, abs=0.001
        )


def test_pvt_keys_are_the_published_ones() -> None:
    with META:
        keys = set(PVTv2("b5").state_dict())
    assert {
        "patch_embed1.proj.weight",
        "patch_embed4.norm.bias",
        "block1.0.norm1.weight",
        "block1.2.attn.q.bias",
        "block2.5.attn.kv.weight",
        "block3.39.attn.sr.weight",
        "block3.0.attn.norm.weight",
        "block4.2.attn.proj.bias",
        "block4.0.mlp.dwconv.dwconv.weight",
        "block1.0.mlp.fc1.weight",
        "block1.0.mlp.fc2.bias",
        "norm4.weight",
    } <= keys
    assert "block4.0.attn.sr.weight" not in keys
    pattern = re.compile(
        r"(patch_embed[1-4]\.(proj|norm)|norm[1-4]|block[1-4]\.\d+\.(norm[12]|attn\.(q|kv|proj|sr|norm)"
        r"|mlp\.(fc1|fc2|dwconv\.dwconv)))\.(weight|bias)"
    )
    assert [key for key in keys if not pattern.fullmatch(key)] == []


def test_resnet_keys_are_torchvisions() -> None:
    with META:
        keys = set(ResNet50().state_dict())
    blocks = {1: 3, 2: 4, 3: 6, 4: 3}
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    expected = {"conv1.weight", *(f"bn1.{n}" for n in norm)}
    for layer, depth in blocks.items():
        for block in range(depth):
            at = f"layer{layer}.{block}"
            for i in (1, 2, 3):
                expected |= {f"{at}.conv{i}.weight", *(f"{at}.bn{i}.{n}" for n in norm)}
        at = f"layer{layer}.0.downsample"
        expected |= {f"{at}.0.weight", *(f"{at}.1.{n}" for n in norm)}
    assert keys == expected


def test_vggish_keys_are_the_published_ones() -> None:
    with META:
        keys = set(VGGish().state_dict())
    layers = [f"features.{i}" for i in (0, 3, 6, 8, 11, 13)] + [f"embeddings.{i}" for i in (0, 2, 4)]
    assert keys == {f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")}


def test_vggish_flattens_with_channels_last() -> None:
    torch.manual_seed(0)
    network = VGGish()
    with torch.no_grad():
        # an embedding that copies one cell of the feature map: row 2, column 3, channel 7
        row, column, channel = 2, 3, 7
        first = network.embeddings[0]
        assert isinstance(first, nn.Linear)
        first.weight.zero_()
        first.bias.zero_()
        first.weight[0, (row * 4 + column) * 512 + channel] = 1.0
        log_mel = torch.randn(1, 1, 96, 64)
        expected = network.features(log_mel)[0, channel, row, column]
        assert expected > 0
        copied = network.embeddings[:2](network.features(log_mel).permute(0, 2, 3, 1).flatten(1))
        assert copied[0, 0] == expected
        network.embeddings = network.embeddings[:2]
        assert network(log_mel)[0, 0] == expected


@pytest.mark.parametrize("name", list(ImageEncoderName))
def test_image_encoders_keep_their_promise(name: ImageEncoderName) -> None:
    with META:
        network = build_image_encoder(name).eval()
        maps = as_image_encoder(network)(torch.empty(2, 3, 64, 96))
    promise = as_image_encoder(network)
    assert [tuple(m.shape) for m in maps] == [
        (2, c, 64 // s, 96 // s) for c, s in zip(promise.channels, promise.strides, strict=True)
    ]


@pytest.mark.parametrize("name", list(AudioEncoderName))
def test_audio_encoders_keep_their_promise(name: AudioEncoderName) -> None:
    with META:
        network = build_audio_encoder(name).eval()
        promise = as_audio_encoder(network)
        tokens = promise(torch.empty(3, *promise.front_end.shape))
    expected = (3, promise.channels) if promise.tokens == 1 else (3, promise.tokens, promise.channels)
    assert tuple(tokens.shape) == expected


def test_every_variant_has_one_channel_count_per_stage() -> None:
    for spec in VARIANTS.values():
        assert len(spec.channels) == len(spec.depths) == len(spec.mlp_ratios) == 4


def test_the_tiny_encoders_are_tiny() -> None:
    assert count_parameters(TinyImageEncoder(), TinyAudioEncoder()) < 300_000


def test_drop_path_keeps_the_mean_and_spares_evaluation() -> None:
    torch.manual_seed(0)
    network = PVTv2("b0", drop_path=0.5)
    last = network.get_submodule("block4.1.drop_path")
    x = torch.ones(2000, 1, 1)
    dropped = last.train()(x)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert dropped.mean() == pytest.approx(1.0, abs=0.1)
    assert torch.equal(last.eval()(x), x)


def test_pvt_equals_transformers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="the oracle for PVTv2 needs transformers")
    torch.manual_seed(0)
    names = ["stage1", "stage2", "stage3", "stage4"]
    config = transformers.PvtV2Config(
        hidden_sizes=[32, 64, 160, 256], depths=[2, 2, 2, 2], mlp_ratios=[8, 8, 4, 4], out_features=names
    )
    oracle = transformers.PvtV2Backbone(config).eval()
    own = PVTv2("b0").eval()
    own.load_state_dict(_from_transformers(oracle.state_dict()))
    for module in own.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = config.layer_norm_eps  # transformers has one epsilon for all
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        for mine, theirs in zip(own(image), oracle(image).feature_maps, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def _from_transformers(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """transformers' names to the published ones; keys and values are one matrix there."""
    renames = [
        (r"^.*?layers\.(\d)\.", lambda g: f"{int(g[1]) + 1}|"),
        (r"^(\d)\|patch_embedding\.layer_norm", r"patch_embed\1.norm"),
        (r"^(\d)\|patch_embedding\.proj", r"patch_embed\1.proj"),
        (r"^(\d)\|blocks\.", r"block\1."),
        (r"^(\d)\|layer_norm", r"norm\1"),
        (r"layer_norm_([12])", r"norm\1"),
        (r"attention\.layer_norm", "attn.norm"),
        (r"attention\.spatial_reduction", "attn.sr"),
        (r"attention\.query", "attn.q"),
        (r"attention", "attn"),
        (r"dense([12])", r"fc\1"),
    ]
    renamed = {}
    for key, value in state.items():
        for pattern, by in renames:
            key = re.sub(pattern, by, key)
        renamed[key] = value
    for key in [k for k in renamed if ".attn.key." in k]:
        pair = [renamed.pop(key), renamed.pop(key.replace(".key.", ".value."))]
        renamed[key.replace(".key.", ".kv.")] = torch.cat(pair)
    return renamed
