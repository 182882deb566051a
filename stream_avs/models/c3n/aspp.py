"""Atrous spatial pyramid pooling (Chen et al., DeepLab v3): one map seen at several reaches at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Aspp(nn.Module):
    """1x1, three dilated 3x3 and the whole image, side by side, then joined to width d.

    Group norm stands where the paper has batch norm: clips come few at a time.

    Args:
        channels: of the map.
        d: width of each branch and of the result.
        dilations: of the 3x3 branches.
    """

    def __init__(self, channels: int, d: int, dilations: Sequence[int]) -> None:
        super().__init__()
        branches = [_conv(channels, d, 1)]
        branches += [_conv(channels, d, 3, dilation) for dilation in dilations]
        self.branches = nn.ModuleList(branches)
        self.whole = nn.Sequential(nn.Linear(channels, d), nn.ReLU())
        self.join = _conv((len(branches) + 1) * d, d, 1)

    def forward(self, image: Tensor) -> Tensor:
        """[F, C, h, w] -> [F, d, h, w]."""
        views = [branch(image) for branch in self.branches]
        whole = self.whole(image.mean((2, 3)))[:, :, None, None].expand_as(views[0])
        return self.join(torch.cat([*views, whole], dim=1))


def _conv(channels: int, out: int, kernel: int, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(channels, out, kernel, padding=padding, dilation=dilation, bias=False)
    return nn.Sequential(conv, nn.GroupNorm(8, out), nn.ReLU())
