"""Adaptive average pooling written so that every exporter takes it.

Output row i is the mean of input rows floor(i H / h) .. ceil((i + 1) H / h) - 1, as in torch; with a
whole ratio this is plain average pooling, otherwise a product with two constant matrices.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


def adaptive_average_pool(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Pool [N, C, H, W] to [N, C, *size]; equal to `F.adaptive_avg_pool2d` up to rounding."""
    rows, columns = int(x.shape[-2]), int(x.shape[-1])
    if rows % size[0] == 0 and columns % size[1] == 0:
        step = (rows // size[0], columns // size[1])
        return x if step == (1, 1) else F.avg_pool2d(x, step, step)
    left, right = _means(rows, size[0], x), _means(columns, size[1], x)
    return left @ x @ right.T


def _means(length: int, out: int, like: Tensor) -> Tensor:
    kept = _matrix(length, out, np.float64 if like.dtype is torch.float64 else np.float32)
    return torch.from_numpy(kept).to(dtype=like.dtype, device=like.device)


@functools.cache
def _matrix(length: int, out: int, dtype: type[np.floating]) -> NDArray[np.floating]:
    """Matrix [out, length] whose row i averages the cells of output i.

    In numpy: a tensor kept while a program is traced would be one without values ever after.
    """
    matrix = np.zeros((out, length), dtype)
    for i in range(out):
        start, stop = i * length // out, -(-(i + 1) * length // out)
        matrix[i, start:stop] = 1.0 / (stop - start)
    return matrix
