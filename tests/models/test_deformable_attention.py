"""Deformable attention against a loop over points, in float64."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stream_avs.models.deformable_attention import DeformableAttention, sample

SIZES = [(5, 7), (3, 4), (2, 2)]
CELLS = sum(h * w for h, w in SIZES)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def look_up(image: Tensor, x: float, y: float) -> Tensor:
    """Bilinear lookup in [h, w, c]; cell (i, j) is centred on ((j + 0.5) / w, (i + 0.5) / h)."""
    h, w = image.shape[:2]
    column, row = x * w - 0.5, y * h - 0.5
    total = torch.zeros(image.shape[2], dtype=image.dtype)
    for i in (math.floor(row), math.floor(row) + 1):
        for j in (math.floor(column), math.floor(column) + 1):
            if 0 <= i < h and 0 <= j < w:
                total += (1 - abs(row - i)) * (1 - abs(column - j)) * image[i, j]
    return total


def sample_by_loops(values: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
    B, Q, H, _, P, _ = locations.shape
    d = values.shape[-1] // H
    levels = values.split([h * w for h, w in SIZES], dim=1)
    out = torch.zeros(B, Q, H * d, dtype=values.dtype)
    for b in range(B):
        for q in range(Q):
            for head in range(H):
                channels = slice(head * d, (head + 1) * d)
                for level, (h, w) in enumerate(SIZES):
                    image = levels[level][b].view(h, w, -1)[..., channels]
                    for p in range(P):
                        x, y = locations[b, q, head, level, p].tolist()
                        out[b, q, channels] += weights[b, q, head, level, p] * look_up(image, x, y)
    return out


def test_sampling_equals_a_loop_over_points_also_outside_the_image() -> None:
    B, Q, H, P, d = 2, 4, 2, 3, 8
    values = torch.randn(B, CELLS, d, dtype=torch.float64)
    locations = torch.rand(B, Q, H, len(SIZES), P, 2, dtype=torch.float64) * 1.6 - 0.3
    weights = torch.rand(B, Q, H, len(SIZES), P, dtype=torch.float64)
    expected = sample_by_loops(values, locations, weights)
    torch.testing.assert_close(sample(values, locations, weights, SIZES), expected, rtol=1e-12, atol=1e-12)


def test_the_layer_equals_its_equation() -> None:
    d, heads, points = 8, 2, 3
    layer = DeformableAttention(d, heads, len(SIZES), points).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    query, features = torch.randn(2, 4, d).double(), torch.randn(2, CELLS, d).double()
    reference = torch.rand(2, 4, 2).double()

    # offsets count cells of their level
    cells = torch.tensor([[w, h] for h, w in SIZES], dtype=torch.float64)[:, None]
    offsets = layer.offsets(query).view(2, 4, heads, len(SIZES), points, 2)
    locations = reference[:, :, None, None, None] + offsets / cells
    weights = layer.weights(query).view(2, 4, heads, -1).softmax(-1).view(2, 4, heads, len(SIZES), points)
    expected = layer.out(sample_by_loops(layer.value(features), locations, weights))

    torch.testing.assert_close(layer(query, reference, features, SIZES), expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.floats(-0.5, 1.5), st.floats(-0.5, 1.5))
def test_of_a_constant_map_any_point_well_inside_gives_the_constant(x: float, y: float) -> None:
    values = torch.full((1, CELLS, 2), 3.0, dtype=torch.float64)
    location = torch.tensor([x, y], dtype=torch.float64).expand(1, 1, 1, 3, 1, 2)
    weights = torch.full((1, 1, 1, 3, 1), 1 / 3, dtype=torch.float64)
    value = sample(values, location, weights, SIZES)[0, 0, 0].item()
    margin = 0.25 + 1e-9  # half a cell of the coarsest level
    if margin <= x <= 1 - margin and margin <= y <= 1 - margin:
        assert value == pytest.approx(3.0)
    assert -1e-9 <= value <= 3.0 + 1e-9


def test_it_starts_as_an_average_on_rays_around_the_reference_point() -> None:
    layer = DeformableAttention(16, 8, 1, 4)
    offsets = layer.offsets.bias.view(8, 1, 4, 2)
    assert torch.equal(layer.offsets.weight, torch.zeros_like(layer.offsets.weight))
    torch.testing.assert_close(offsets.abs().amax(-1)[:, 0], torch.arange(1.0, 5).expand(8, 4))
    # eight heads, eight directions
    assert len({tuple(ray) for ray in offsets[:, 0, 0].round(decimals=3).tolist()}) == 8


def test_with_bfloat16_features_the_error_is_that_of_rounding_features() -> None:
    layer = DeformableAttention(16, 2, 3, 4)
    torch.nn.init.normal_(layer.offsets.weight, std=0.3)
    query, features, reference = torch.randn(1, 6, 16), torch.randn(1, CELLS, 16), torch.rand(6, 2)
    exact = layer(query, reference, features, SIZES)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = layer(query, reference, features, SIZES)
    assert (rounded - exact).abs().max() < 0.05
