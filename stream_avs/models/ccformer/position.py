"""Two-dimensional sine position code (as in DETR, arXiv 2005.12872)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_TEMPERATURE = 10_000.0


def sine_position(height: int, width: int, d: int, *, like: Tensor) -> Tensor:
    """Position code of each cell of a map: the first half tells the row, the second the column.

    Args:
        height: rows.
        width: columns.
        d: width of the code, a multiple of 4.
        like: gives device and type.

    Returns:
        [height * width, d], rows first.
    """
    quarter = d // 4
    exponent = torch.arange(quarter, dtype=torch.float32, device=like.device) / quarter
    frequency = _TEMPERATURE**-exponent  # [d/4]

    def code(n: int) -> Tensor:
        # cell centres spread over one turn, so that the code does not depend on the map's size
        phase = (torch.arange(n, dtype=torch.float32, device=like.device) + 0.5) * (2 * math.pi / n)
        angle = phase[:, None] * frequency
        return torch.cat([angle.sin(), angle.cos()], dim=1)  # [n, d/2]

    rows = code(height)[:, None].expand(height, width, 2 * quarter)
    columns = code(width)[None, :].expand(height, width, 2 * quarter)
    return torch.cat([rows, columns], dim=2).reshape(height * width, d).to(like.dtype)


def cell_centres(sizes: list[tuple[int, int]], *, like: Tensor) -> Tensor:
    """Centre of each cell of each level, in 0..1 of the image.

    Args:
        sizes: (h, w) of each level.
        like: gives the device.

    Returns:
        float32 [sum(h * w), 2] as (x, y), levels one after the other, rows first.
    """
    centres = []
    for h, w in sizes:
        y = (torch.arange(h, dtype=torch.float32, device=like.device) + 0.5) / h
        x = (torch.arange(w, dtype=torch.float32, device=like.device) + 0.5) / w
        centres.append(torch.stack([x[None].expand(h, w), y[:, None].expand(h, w)], dim=-1).reshape(h * w, 2))
    return torch.cat(centres)
