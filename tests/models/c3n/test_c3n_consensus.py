"""C3IM against its formula, written out entry by entry."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_avs.models.c3n.consensus import infer_consensus

POWER = 0.1

torch.set_num_threads(1)


def by_hand(seen: list[float], heard: list[float], similarity: list[list[float]]) -> tuple[float, int, int]:
    """The largest P_v(i)^0.1 S(i, j) P_a(j)^0.1 and where it is."""

    def softmax(logits: list[float]) -> list[float]:
        whole = sum(math.exp(x) for x in logits)
        return [math.exp(x) / whole for x in logits]

    p_v, p_a = softmax(seen), softmax(heard)
    return max(
        (p_v[i] ** POWER * similarity[i][j] * p_a[j] ** POWER, i, j)
        for i in range(len(p_v))
        for j in range(len(p_a))
    )


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 6), st.integers(1, 3))
def test_is_the_formula(seed: int, classes: int, sounds: int, frames: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    seen = 4 * torch.randn(frames, classes, generator=draw)
    heard = 4 * torch.randn(frames, sounds, generator=draw)
    similarity = torch.rand(classes, sounds, generator=draw)
    found = infer_consensus(seen, heard, similarity, POWER)
    for f in range(frames):
        best, i, j = by_hand(seen[f].tolist(), heard[f].tolist(), similarity.tolist())
        assert found.confidence[f].item() == pytest.approx(best, rel=1e-5)
        assert (found.label[f].item(), found.heard[f].item()) == (i, j)


def test_the_ear_decides_between_two_things_seen() -> None:
    """A cat fills the picture, a dog is hardly noticed; the bark is certain."""
    seen, similarity = torch.tensor([[5.0, 0.0]]), torch.tensor([[1.0, 0.1], [0.1, 1.0]])
    barking, meowing = torch.tensor([[-3.0, 3.0]]), torch.tensor([[3.0, -3.0]])
    assert infer_consensus(seen, barking, similarity, POWER).label.item() == 1
    assert infer_consensus(seen, meowing, similarity, POWER).label.item() == 0


def test_unflattened_confidences_would_follow_the_eye() -> None:
    seen, similarity = torch.tensor([[5.0, 0.0]]), torch.tensor([[1.0, 0.1], [0.1, 1.0]])
    assert infer_consensus(seen, torch.tensor([[-1.0, 1.0]]), similarity, 1.0).label.item() == 0


def test_no_gradient_flows() -> None:
    seen = torch.zeros(1, 2, requires_grad=True)
    assert not infer_consensus(seen, torch.zeros(1, 2), torch.eye(2), POWER).confidence.requires_grad
