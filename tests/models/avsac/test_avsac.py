"""AVSAC's modules against their formulas, and the whole network."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stream_avs.models.architectures import architecture
from stream_avs.models.avsac.config import AvsacConfig, Bridges
from stream_avs.models.avsac.decoder import BidirectionalDecoder, BridgedLayer
from stream_avs.models.avsac.head import MaskHead
from stream_avs.models.avsac.network import Avsac

TINY = {"d": 32, "heads": 1, "queries": 3, "decoder_layers": 2, "decoder_ffn": 16, "mask_hidden": 8}


@pytest.fixture(autouse=True)
def _quiet() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def config(**changes: object) -> AvsacConfig:
    values = {**TINY, "input_px": 64, "ffn": 16, "generator_ffn": 16, "points": 2, **changes}
    preset = architecture("avsac").preset("tiny", **values)
    assert isinstance(preset, AvsacConfig)
    return preset


def linear(layer: nn.Linear, x: np.ndarray) -> np.ndarray:
    return x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()


def layer_norm(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def bridged(layer: BridgedLayer, own: np.ndarray, query: np.ndarray, key: np.ndarray, value: np.ndarray):
    """LN(F + Attention(F, G, G)), then LN(F' + FFN(F')), with one head."""
    attention = layer.bridge
    scores = linear(attention.query, query) @ linear(attention.key, key).T / math.sqrt(query.shape[-1])
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    x = layer_norm(own + linear(attention.out, weights @ linear(attention.value, value)))
    hidden = np.maximum(linear(layer.ffn.expand, x), 0)
    return layer_norm(x + linear(layer.ffn.contract, hidden))


def test_both_towers_read_what_the_other_left_one_layer_before() -> None:
    decoder = BidirectionalDecoder(config()).eval()
    visual, position, queries = torch.randn(1, 5, 32), torch.randn(5, 32), torch.randn(1, 3, 32)
    agv, vga = decoder(visual, position, queries)
    v, p, a = visual[0].numpy(), position.numpy(), queries[0].numpy()
    for k in range(2):
        v, a = (
            bridged(decoder.agv[k], v, v + p, a, a),
            bridged(decoder.vga[k], a, a, v + p, v),
        )
    np.testing.assert_allclose(agv[0].detach().numpy(), v, atol=2e-5)
    np.testing.assert_allclose(vga[0].detach().numpy(), a, atol=2e-5)


@pytest.mark.parametrize("bridges", list(Bridges))
def test_a_tower_without_a_bridge_stays_as_it_entered(bridges: Bridges) -> None:
    decoder = BidirectionalDecoder(config(bridges=bridges)).eval()
    visual, position, queries = torch.randn(2, 5, 32), torch.randn(5, 32), torch.randn(2, 3, 32)
    agv, vga = decoder(visual, position, queries)
    assert torch.equal(agv, visual) == (bridges is Bridges.VISION_TO_AUDIO)
    assert torch.equal(vga, queries) == (bridges is Bridges.AUDIO_TO_VISION)
    # sound reaches sight, and sight sound, exactly where a bridge leads
    agv_other, vga_other = decoder(visual, position, queries + torch.randn(3, 32))
    assert torch.equal(agv, agv_other) == (bridges is Bridges.VISION_TO_AUDIO)
    agv_other, vga_other = decoder(visual + torch.randn(5, 32), position, queries)
    assert torch.equal(vga, vga_other) == (bridges is Bridges.AUDIO_TO_VISION)


def test_a_layer_has_the_papers_size() -> None:
    assert sum(p.numel() for p in BridgedLayer(AvsacConfig()).parameters()) == 1_315_072


def test_the_head_is_eq_1() -> None:
    head = MaskHead(config(classes=2), finest_channels=7)
    feature, queries = torch.randn(1, 32, 3, 3), torch.randn(1, 3, 32)
    product = torch.zeros(1, 3, 3, 3)
    for n in range(3):
        for y in range(3):
            for x in range(3):
                product[0, n, y, x] = sum(feature[0, c, y, x] * queries[0, n, c] for c in range(32))
    joint = feature + head.mlp(product)
    x = head.reduce(joint)
    x = nn.functional.interpolate(x, scale_factor=4, mode="bilinear")
    expected = head.classify(head.refine(x).relu())
    logits, mixed = head(feature, queries)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(mixed, joint.mean(1), rtol=1e-4, atol=1e-5)
    assert expected.shape == (1, 2, 12, 12)


def network(**changes: object) -> Avsac:
    model = Avsac(config(**changes)).eval()
    for name, parameter in model.named_parameters():
        if name.endswith(("offsets.weight", "weights.weight")):
            nn.init.normal_(parameter, std=0.1)  # these start at zero
    return model


def inputs() -> tuple[Tensor, Tensor]:
    return torch.rand(1, 3, 3, 64, 64), torch.randn(1, 3, 1, 96, 64)


def test_a_mask_depends_on_its_own_frame_and_sound_alone() -> None:
    model, (frames, audio) = network(), inputs()
    whole = model(frames, audio).masks[0]
    assert whole.shape == (1, 3, 1, 64, 64)
    alone = torch.cat([model(frames[:, t : t + 1], audio[:, t : t + 1]).masks[0] for t in range(3)], dim=1)
    torch.testing.assert_close(whole, alone, rtol=0, atol=1e-5)
    other = audio.clone()
    other[:, 1] += torch.randn(1, 96, 64)
    changed = (model(frames, other).masks[0] - whole).abs().flatten(2).amax(2)[0]
    assert changed[1] > 1e-6
    assert changed[0] < 1e-6 > changed[2]


def test_all_parameters_learn_from_masks_and_synchrony() -> None:
    model, (frames, audio) = network(), inputs()
    output = model(frames, audio)
    assert output.mixed is not None
    assert [pair.visual.shape[-1] for pair in output.paired] == [8, 4, 2]
    output.masks[0].square().mean().backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not bool(p.grad.any())]
    assert silent == []
