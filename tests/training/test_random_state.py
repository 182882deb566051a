"""Random states go into tensors and back without loss."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from stream_avs.training import random_state


def draw() -> tuple[object, ...]:
    return (
        random.random(), random.gauss(0, 1), np.random.rand(), np.random.standard_normal(),
        torch.rand(3).tolist(), torch.randn(1).tolist(),
    )  # fmt: skip


@pytest.mark.parametrize("drawn_before", [0, 1, 7])
def test_restored_generators_draw_the_same(drawn_before: int) -> None:
    random_state.seed_all(5)
    for _ in range(drawn_before):
        draw()
    random.gauss(0, 1)  # leaves a second normal number in store, as does numpy's
    np.random.standard_normal()
    stored = {name: tensor.clone() for name, tensor in random_state.capture().items()}
    first = [draw() for _ in range(3)]
    random_state.restore(stored)
    assert [draw() for _ in range(3)] == first


def test_same_seed_same_numbers() -> None:
    random_state.seed_all(1)
    one = draw()
    random_state.seed_all(1)
    assert draw() == one
    random_state.seed_all(2)
    assert draw() != one
