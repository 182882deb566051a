"""CCAM against its formulas, and its gradient form against the one without gradients."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from stream_avs.models.c3n.guidance import attend, channel_weights_by_gradient, channel_weights_by_row

torch.set_num_threads(1)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
def test_attends_as_written(seed: int, channels: int, h: int, w: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    image, weights = torch.randn(1, channels, h, w, generator=draw), torch.randn(1, channels, generator=draw)
    found = attend(image, weights)[0]
    norm = math.sqrt(sum(a * a for a in weights[0].tolist()))
    for y in range(h):
        for x in range(w):
            gated = [image[0, c, y, x].item() * sigmoid(weights[0, c].item() / norm) for c in range(channels)]
            place = sigmoid(sum(gated) / channels)
            for c in range(channels):
                assert found[c, y, x].item() == pytest.approx(gated[c] * place, abs=1e-5)


def test_the_length_of_the_weights_does_not_matter() -> None:
    image, weights = torch.randn(2, 5, 3, 3), torch.randn(2, 5)
    assert torch.allclose(attend(image, weights), attend(image, 7 * weights), atol=1e-6)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 5), st.integers(2, 7))
def test_a_linear_classifier_needs_no_gradient(seed: int, h: int, w: int, classes: int) -> None:
    """Its row is h * w times the mean gradient, to rounding; CCAM makes the same of both."""
    torch.manual_seed(seed)
    head = nn.Linear(8, classes)
    image = torch.randn(3, 8, h, w, requires_grad=True)
    label = torch.randint(classes, (3,))
    score = head(image.mean((2, 3))).gather(1, label[:, None])[:, 0]
    (by_gradient,) = channel_weights_by_gradient(score, [image])
    by_row = channel_weights_by_row(head.weight, label)
    assert torch.allclose(by_gradient * h * w, by_row, rtol=1e-5, atol=1e-6)
    assert torch.allclose(attend(image, by_gradient), attend(image, by_row), rtol=1e-5, atol=1e-6)


def test_an_earlier_map_does_need_one() -> None:
    """Through a further stage the gradient depends on the picture, which no table of weights can tell."""
    torch.manual_seed(0)
    stage, head = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()), nn.Linear(8, 4)
    weights = []
    for _ in range(2):
        early = torch.randn(1, 8, 5, 5, requires_grad=True)
        score = head(stage(early).mean((2, 3)))[:, 2]
        weights.append(nn.functional.normalize(channel_weights_by_gradient(score, [early])[0], dim=1))
    assert not torch.allclose(weights[0], weights[1], atol=1e-3)


def test_the_graph_stays_for_training() -> None:
    image = torch.randn(1, 4, 2, 2, requires_grad=True)
    score = image.mean((2, 3))[:, 1]
    channel_weights_by_gradient(score, [image])
    score.sum().backward()
    assert image.grad is not None
