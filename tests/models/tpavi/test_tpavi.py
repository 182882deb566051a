"""TPAVI's modules against their formulas, and the whole baseline."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from stream_avs.errors import ConfigError
from stream_avs.models.architectures import architecture
from stream_avs.models.tpavi.config import TpaviConfig
from stream_avs.models.tpavi.interaction import TPAVI
from stream_avs.models.tpavi.network import TpaviNetwork
from stream_avs.models.tpavi.pyramid import Decoder, DilatedSum, ResidualUnit

D, INNER = 6, 4


@pytest.fixture(autouse=True)
def _quiet() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def interaction() -> TPAVI:
    module = TPAVI(D, INNER, audio_channels=5)
    nn.init.normal_(module.scale.weight)  # starts at zero
    nn.init.normal_(module.scale.bias)
    module.scale.running_mean.normal_()
    module.scale.running_var.uniform_(0.5, 2)
    return module.eval()


def affine(layer: nn.Module, x: np.ndarray) -> np.ndarray:
    """A linear layer or 1x1 convolution on the last axis."""
    weight, bias = (p.detach().double().numpy() for p in (layer.weight, layer.bias))
    return x @ weight.reshape(len(weight), -1).T + bias


def by_definition(module: TPAVI, visual: torch.Tensor, audio: torch.Tensor) -> np.ndarray:
    """Z over all T h w positions with the full attention matrix alpha, for one clip [T, D, h, w]."""
    T, _, h, w = visual.shape
    v = visual.double().permute(0, 2, 3, 1).reshape(T * h * w, D).numpy()
    a = np.repeat(affine(module.align, audio.double().numpy()), h * w, axis=0)  # each sound over its pixels
    alpha = affine(module.theta, v) @ affine(module.phi, a).T / (T * h * w)
    y = affine(module.mu, alpha @ affine(module.g, v))
    scale = module.scale
    mean, var, gamma, beta = (
        x.detach().double().numpy() for x in (scale.running_mean, scale.running_var, scale.weight, scale.bias)
    )
    z = v + (y - mean) / np.sqrt(var + scale.eps) * gamma + beta
    z = (z - z.mean(1, keepdims=True)) / np.sqrt(z.var(1, keepdims=True) + module.norm.eps)
    return z.reshape(T, h, w, D).transpose(0, 3, 1, 2)


def test_summaries_of_frames_equal_attention_over_every_pixel_of_every_frame() -> None:
    module = interaction()
    visual, audio = torch.randn(3, D, 4, 5), torch.randn(3, 5)
    offered, _ = module.offer(visual, audio)
    fused = module(visual[None], offered[None])[0]
    np.testing.assert_allclose(fused.detach().numpy(), by_definition(module, visual, audio), atol=2e-5)


def test_one_frame_of_a_window_is_what_it_is_among_all_and_order_does_not_matter() -> None:
    module = interaction()
    visual, audio = torch.randn(4, D, 3, 3), torch.randn(4, 5)
    offered, _ = module.offer(visual, audio)
    whole = module(visual[None], offered[None])[0]
    newest = module(visual[None, -1:], offered[[2, 3, 0, 1]][None])[0, 0]
    torch.testing.assert_close(newest, whole[-1], rtol=0, atol=1e-6)


def test_a_new_stage_passes_its_map_on() -> None:
    module = TPAVI(D, INNER, audio_channels=5).eval()
    visual = torch.randn(2, D, 3, 3)
    offered, _ = module.offer(visual, torch.randn(2, 5))
    expected = nn.functional.layer_norm(visual.permute(0, 2, 3, 1), (D,)).permute(0, 3, 1, 2)
    torch.testing.assert_close(module(visual[None], offered[None])[0], expected)


def test_an_impulse_reaches_as_far_as_each_dilation() -> None:
    module = DilatedSum(1, 1, (1, 3))
    for branch in module.branches:
        nn.init.ones_(branch.weight)
        nn.init.zeros_(branch.bias)
    image = torch.zeros(1, 1, 9, 9)
    image[..., 4, 4] = 1
    rows, columns = np.nonzero(module(image)[0, 0].detach().numpy())
    reached = {(r - 4, c - 4) for r, c in zip(rows.tolist(), columns.tolist(), strict=True)}
    taps = {(a * r, b * r) for r in (1, 3) for a in (-1, 0, 1) for b in (-1, 0, 1)}
    assert reached == taps
    assert module(image)[0, 0, 4, 4].item() == 2  # both centres


def test_a_residual_unit_with_weights_of_zero_changes_nothing() -> None:
    unit = ResidualUnit(4)
    nn.init.zeros_(unit.conv2.weight)
    nn.init.zeros_(unit.conv2.bias)
    x = torch.randn(2, 4, 5, 5)
    assert torch.equal(unit(x), x)


@pytest.mark.parametrize(("sizes", "classes"), [([16, 8, 4, 2], 1), ([16, 8, 4], 3), ([15, 8, 4], 2)])
def test_the_decoder_gives_logits_at_four_times_the_finest_map(sizes: list[int], classes: int) -> None:
    decoder = Decoder(8, len(sizes), classes)
    maps = [torch.randn(2, 8, s, s, requires_grad=True) for s in sizes]
    logits = decoder(maps)
    assert logits.shape == (2, classes, 4 * sizes[0], 4 * sizes[0])
    logits.sum().backward()
    assert all(bool(m.grad is not None and m.grad.abs().sum() > 0) for m in maps)


def small(**changes: object) -> TpaviNetwork:
    network = TpaviNetwork(
        architecture("tpavi").preset("tiny", d=8, inner=4, input_px=32, frames=3, **changes)
    )
    for stage in network.tpavi:
        nn.init.normal_(stage.scale.weight)
    return network.eval()


def test_every_mask_hears_every_frame_of_the_window_and_all_parameters_learn() -> None:
    network = small()
    frames, audio = torch.rand(2, 3, 3, 32, 32), torch.randn(2, 3, 1, 96, 64)
    output = network(frames, audio)
    assert output.masks[0].shape == (2, 3, 1, 32, 32)
    assert output.sounding.shape == (2, 3)
    assert len(output.paired) == 4
    other = audio.clone()
    other[0, 2] = torch.randn(1, 96, 64)
    changed = network(frames, other).masks[0] - output.masks[0]
    assert bool((changed[0].abs().flatten(1).amax(1) > 0).all())  # all frames of that clip
    assert not bool(changed[1].any())  # and none of another
    output.masks[0].square().mean().backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not bool(p.grad.any())]
    assert silent == []


def test_several_classes_and_other_encoders_fit() -> None:
    assert small(classes=5)(torch.rand(1, 3, 3, 32, 32), torch.randn(1, 3, 1, 96, 64)).masks[0].shape[2] == 5
    with torch.device("meta"):
        nano = TpaviNetwork(architecture("tpavi").preset("nano", input_px=64))  # type: ignore[arg-type]
        output = nano(torch.empty(1, 5, 3, 64, 64), torch.empty(1, 5, 1, 128, 200))
    assert output.masks[0].shape == (1, 5, 1, 64, 64)


def test_mistakes_are_named() -> None:
    with pytest.raises(ConfigError, match=r"model\.dilations"):
        TpaviConfig(dilations=())
    with pytest.raises(ConfigError, match=r"model\.d is 9"):
        TpaviConfig(d=9)
