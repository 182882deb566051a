"""EspNetV2 with the bundled weights against values of the original network in float64."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from stream_avs.models.backbones.espnetv2 import WIDTHS, EspNetV2
from stream_avs.models.backbones.pooling import adaptive_average_pool
from stream_avs.models.load import BUNDLED, load_weights


@pytest.fixture(scope="module")
def network() -> EspNetV2:
    torch.set_num_threads(1)
    module = EspNetV2(2.0).eval()
    load_weights(module, BUNDLED / "espnetv2_s2_voc384.safetensors")
    return module


def reference_image(size_px: int) -> torch.Tensor:
    i, j, c = np.ogrid[:size_px, :size_px, :3]
    pixels = ((i * i + 2 * j * j + i * j * (c + 1)) // 256 + 60 * c) % 256
    normalised = (pixels / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    return torch.from_numpy(normalised.transpose(2, 0, 1).astype(np.float32))[None]


def test_the_reference_image_is_the_published_one() -> None:
    image = reference_image(224)
    assert float(image.mean()) == pytest.approx(0.193016, abs=1e-6)
    assert float(image.std(unbiased=False)) == pytest.approx(1.276197, abs=1e-6)


@pytest.mark.parametrize(
    ("size_px", "mean", "std", "middle", "person"),
    [
        (
            224,
            0.001289,
            3.777804,
            [10.458050, 1.688764, -3.194900, 0.731394, 1.717181, 3.337396, -3.842154, -1.782994],
            [2.150908, 2.230134, 2.302787, 2.363638, 2.414456, 2.451253, 2.475691, 2.482916],
        ),
        (
            384,
            0.001574,
            3.344524,
            [10.351939, 2.909308, -1.701953, 0.765427, 2.611135, 0.842643, -2.096595, -0.945878],
            [2.233849, 2.306247, 2.360740, 2.414306, 2.467535, 2.498568, 2.521299, 2.529007],
        ),
    ],
)
def test_logits_match_the_original(
    network: EspNetV2, size_px: int, mean: float, std: float, middle: list[float], person: list[float]
) -> None:
    with torch.inference_mode():
        logits = network(reference_image(size_px))
    assert logits.shape == (1, 21, size_px, size_px)
    assert float(logits.mean()) == pytest.approx(mean, abs=5e-5)
    assert float(logits.std(unbiased=False)) == pytest.approx(std, abs=5e-5)
    np.testing.assert_allclose(logits[0, :8, size_px // 2, size_px // 2], middle, atol=5e-5)
    np.testing.assert_allclose(logits[0, 15, 100, 100:108], person, atol=5e-5)


def test_encoder_taps_match_the_original(network: EspNetV2) -> None:
    with torch.inference_mode():
        taps = network.taps(reference_image(224))
    expected = {
        "f1": [-0.034375, -0.217836, -0.003374, 0.262680, 0.376741, -0.014609, 0.280253, 0.019370],
        "f2": [0.001957, -0.021188, 0.000719, 0.314165, 0.286691, 0.016301, 0.125499, 0.356867],
        "f3": [0.349076, 0.193927, 0.490574, -0.000229, 0.430957, 0.368789, -0.084114, 0.133255],
        "f4": [0.002430, 0.023555, 0.035284, 0.080713, 0.014080, 0.062445, 0.069567, 0.007152],
    }
    for level, (name, values) in enumerate(expected.items()):
        tap = getattr(taps, name)
        assert tap.shape == (1, WIDTHS[2.0][level], 112 >> level, 112 >> level)
        np.testing.assert_allclose(tap[0, :8, 5, 5], values, atol=2e-5)


def test_decoder_maps_match_the_original(network: EspNetV2) -> None:
    image = reference_image(224)
    with torch.inference_mode():
        first = network.bu_dec_l1(network.taps(image).f4)
        half = network.logits_half(image)
    np.testing.assert_allclose(
        first[0, :8, 5, 5],
        [-0.008368, 0.390715, 0.173175, 0.000000, 0.281419, 0.062514, 0.375039, 0.002352],
        atol=2e-5,
    )
    np.testing.assert_allclose(
        half[0, :8, 5, 5],
        [10.552225, -0.239234, -2.527831, -2.259030, 0.052633, 1.929658, -1.247588, 0.307717],
        atol=5e-5,
    )
    assert half.shape == (1, 21, 112, 112)


def test_a_picture_need_not_be_square(network: EspNetV2) -> None:
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 96, 176)).shape == (1, 21, 96, 176)


@pytest.mark.parametrize(("scale", "parameters"), [(0.5, 80_353), (1.0, 234_021), (2.0, 789_253)])
def test_sizes_are_the_published_ones(scale: float, parameters: int) -> None:
    module = EspNetV2(scale)
    assert sum(p.numel() for p in module.parameters()) == parameters
    assert len(module.state_dict()) == 526


@pytest.mark.parametrize("source", [(28, 28), (21, 21), (14, 12), (9, 30)])
@pytest.mark.parametrize("size", [(14, 14), (7, 7), (5, 5), (1, 1)])
def test_pooling_equals_torchs_adaptive_pooling(source: tuple[int, int], size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *source, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(adaptive_average_pool(x, size), F.adaptive_avg_pool2d(x, size), atol=1e-6)


class _Pool(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return adaptive_average_pool(x, (5, 9))


def test_pooling_of_a_size_first_met_in_an_export_is_right_afterwards() -> None:
    x = torch.randn(1, 3, 13, 23, generator=torch.Generator().manual_seed(0))
    exported = torch.export.export(_Pool(), (torch.zeros_like(x),), strict=False)
    for pooled in (adaptive_average_pool(x, (5, 9)), exported.module()(x)):
        np.testing.assert_allclose(pooled, F.adaptive_avg_pool2d(x, (5, 9)), atol=1e-6)


def test_pooling_can_be_trained_through_after_inference() -> None:
    with torch.inference_mode():
        adaptive_average_pool(torch.zeros(1, 1, 11, 11), (3, 3))
    x = torch.ones(1, 1, 11, 11, requires_grad=True)
    adaptive_average_pool(x, (3, 3)).sum().backward()
    assert x.grad is not None
    assert float(x.grad.sum()) == pytest.approx(9.0, abs=1e-5)
