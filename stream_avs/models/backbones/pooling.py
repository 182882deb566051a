"""Adaptive average pooling written so that every exporter takes it.

Output row i is the mean of input rows floor(i H / h) .. ceil((i + 1) H / h) - 1, as in torch; with a
whole ratio this is plain average pooling, otherwise a product with two constant matrices.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor


def adaptive_average_pool(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Pool [N, C, H, W] to [N, C, *size]; equal to `F.adaptive_avg_pool2d` up to rounding."""
    rows, columns = int(x.shape[-2]), int(x.shape[-1])
    if rows % size[0] == 0 and columns % size[1] == 0:
        step = (rows // size[0], columns // size[1])
        return x if step == (1, 1) else F.avg_pool2d(x, step, step)
    left = _means(rows, size[0], x.dtype, x.device)
    right = _means(columns, size[1], x.dtype, x.device)
    return left @ x @ right.T


@functools.cache
def _means(length: int, out: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Matrix [out, length] whose row i averages the cells of output i."""
    with torch.inference_mode(False):  # kept across calls, so it must be usable in training too
        matrix = torch.zeros(out, length, dtype=torch.float64)
        for i in range(out):
            start, stop = i * length // out, -(-(i + 1) * length // out)
            matrix[i, start:stop] = 1.0 / (stop - start)
        return matrix.to(dtype=dtype, device=device)
