"""ASPP: each branch where it should be, and shapes."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from stream_avs.models.c3n.aspp import Aspp

torch.set_num_threads(1)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (9, 16)])
def test_keeps_the_size(size: tuple[int, int]) -> None:
    assert Aspp(12, 32, (6, 12, 18))(torch.randn(2, 12, *size)).shape == (2, 32, *size)


def test_parameters() -> None:
    """1x1 and three 3x3 without bias, image pooling with one, the join, and six group norms less one."""
    channels, d = 12, 32
    convolutions = channels * d + 3 * 9 * channels * d + 5 * d * d
    pooled = channels * d + d
    norms = 5 * 2 * d
    assert (
        sum(p.numel() for p in Aspp(channels, d, (6, 12, 18)).parameters()) == convolutions + pooled + norms
    )


def test_a_dilated_branch_looks_that_far() -> None:
    torch.manual_seed(0)
    aspp = Aspp(8, 8, (2, 3, 4))
    image = torch.randn(1, 8, 11, 11)
    for branch, dilation in zip(list(aspp.branches)[1:], (2, 3, 4), strict=True):
        weight = branch[0].weight
        centre = sum(
            torch.einsum(
                "oc,c->o", weight[:, :, i, j], image[0, :, 5 + (i - 1) * dilation, 5 + (j - 1) * dilation]
            )
            for i in range(3)
            for j in range(3)
        )
        plain = F.conv2d(image, weight, padding=dilation, dilation=dilation)[0, :, 5, 5]
        assert torch.allclose(plain, centre, atol=1e-5)
        assert torch.allclose(branch[0](image)[0, :, 5, 5], centre, atol=1e-5)
