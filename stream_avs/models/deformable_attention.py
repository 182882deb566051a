"""Multi-scale deformable attention (Deformable DETR, arXiv 2010.04159, eq 3) in plain PyTorch.

Each query looks at a few points of each level, placed by learned offsets around its reference
point. `grid_sample` does the bilinear lookup, so there is no operator to compile and every
exporter knows it. Sampling locations stay in float32: rounded to bfloat16 they move by whole
cells, which costs a hundred times the error of rounding the features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Size = tuple[int, int]
"""(height, width) of one level."""


class DeformableAttention(nn.Module):
    """Queries gather from a few learned points of each level.

    Args:
        d: width of queries, features and output.
        heads: attention heads.
        levels: feature levels.
        points: sampling points per head and level.
    """

    def __init__(self, d: int, heads: int, levels: int, points: int) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.offsets = nn.Linear(d, heads * levels * points * 2)
        self.weights = nn.Linear(d, heads * levels * points)
        self.value = nn.Linear(d, d)
        self.out = nn.Linear(d, d)
        self._initialise()

    def _initialise(self) -> None:
        """Start as an average over points that lie on one ray per head, further out by one cell each."""
        nn.init.zeros_(self.offsets.weight)
        if self.offsets.weight.is_meta:
            return  # nothing to fill, and arithmetic without memory behind it takes seconds of imports
        angle = torch.arange(self.heads, dtype=torch.float32) * (2 * math.pi / self.heads)
        ray = torch.stack([angle.cos(), angle.sin()], dim=-1)
        ray = ray / ray.abs().amax(dim=-1, keepdim=True)  # [heads, 2] on the unit square
        reach = torch.arange(1, self.points + 1, dtype=torch.float32)
        start = ray[:, None, None, :] * reach[None, None, :, None]  # [heads, 1, points, 2]
        with torch.no_grad():
            self.offsets.bias.copy_(start.expand(-1, self.levels, -1, -1).reshape(-1))
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.weights.bias)
        for layer in (self.value, self.out):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, query: Tensor, reference: Tensor, features: Tensor, sizes: Sequence[Size]) -> Tensor:
        """Sample the features around each query's reference point.

        Args:
            query: [B, Q, d].
            reference: [B, Q, 2] or [Q, 2] as (x, y) in 0..1 of the image.
            features: [B, sum(h * w), d], levels one after the other, rows first.
            sizes: (h, w) of each level.

        Returns:
            [B, Q, d].
        """
        B, Q, _ = query.shape
        H, L, P = self.heads, self.levels, self.points
        offsets = _at_least_float32(self.offsets(query)).view(B, Q, H, L, P, 2)
        weights = self.weights(query).view(B, Q, H, L * P).softmax(-1)
        scale = offsets.new_tensor([[w, h] for h, w in sizes])  # offsets count cells of their level
        reference = reference.to(offsets.dtype).expand(B, Q, 2)
        locations = reference[:, :, None, None, None] + offsets / scale[:, None]  # [B, Q, H, L, P, 2]
        return self.out(sample(self.value(features), locations, weights.view(B, Q, H, L, P), sizes))


def sample(values: Tensor, locations: Tensor, weights: Tensor, sizes: Sequence[Size]) -> Tensor:
    """Bilinear lookup at all locations, weighted and summed; zero outside the image.

    Args:
        values: [B, sum(h * w), d].
        locations: [B, Q, heads, levels, points, 2] as (x, y), 0..1 from edge to edge of the image.
        weights: [B, Q, heads, levels, points].
        sizes: (h, w) of each level.

    Returns:
        [B, Q, d] in the type of `values`.
    """
    B, Q, H = locations.shape[:3]
    d = values.shape[-1]
    # points before queries, so that sums over points run along whole rows of queries
    grids = (2 * locations - 1).permute(3, 0, 2, 4, 1, 5).flatten(1, 2)  # [L, B*H, P, Q, 2]
    shares = weights.permute(3, 0, 2, 4, 1).flatten(1, 2).unsqueeze(2)  # [L, B*H, 1, P, Q]
    total: Tensor | None = None
    for level, ((h, w), flat) in enumerate(
        zip(sizes, values.split([h * w for h, w in sizes], 1), strict=True)
    ):
        # [B, h*w, d] -> [B*H, d/H, h, w]
        image = flat.transpose(1, 2).reshape(B * H, d // H, h, w).to(locations.dtype)
        found = F.grid_sample(image, grids[level], mode="bilinear", padding_mode="zeros", align_corners=False)
        part = (found * shares[level]).sum(2)  # [B*H, d/H, Q]
        total = part if total is None else total + part
    assert total is not None
    return total.view(B, d, Q).transpose(1, 2).to(values.dtype)


def _at_least_float32(x: Tensor) -> Tensor:
    return x if x.dtype is torch.float64 else x.float()
