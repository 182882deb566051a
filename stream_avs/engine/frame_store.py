"""Fixed buffers for what every stream keeps of its recent frames: one row per stream, slots per frame."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Leaves = dict[str, list[Tensor]]
"""Tensors by name, e.g. one per scale; each [B, ...]."""


class FrameStore:
    """Buffers [rows, slots, ...]. Not thread-safe.

    Args:
        like: what one frame of one stream leaves, [1, ...]; gives shapes, types and device.
        rows: streams to begin with.
        slots: frames per stream to begin with.
    """

    def __init__(self, like: Leaves, rows: int, slots: int) -> None:
        self.rows, self.slots = rows, slots
        self.slot_bytes = sum(x[0].nbytes for leaves in like.values() for x in leaves)
        self._buffers: Leaves = {
            name: [x.new_zeros(rows, slots, *x.shape[1:]) for x in leaves] for name, leaves in like.items()
        }

    @property
    def nbytes(self) -> int:
        """Memory of all buffers."""
        return self.rows * self.slots * self.slot_bytes

    def resize(self, rows: int, slots: int) -> None:
        """Grow to at least `rows` and `slots`; what is stored stays where it is."""
        rows, slots = max(rows, self.rows), max(slots, self.slots)
        if (rows, slots) == (self.rows, self.slots):
            return
        for leaves in self._buffers.values():
            for i, old in enumerate(leaves):
                leaves[i] = old.new_zeros(rows, slots, *old.shape[2:])
                leaves[i][: self.rows, : self.slots] = old
        self.rows, self.slots = rows, slots

    def clear(self, row: int) -> None:
        """Zero a row, so that nothing of an earlier stream, not even NaN, can pass a mask."""
        for leaves in self._buffers.values():
            for buffer in leaves:
                buffer[row].zero_()

    def write(self, places: Sequence[tuple[int, int]], values: Leaves) -> None:
        """Store one frame for each (row, slot); `values` may hold more rows, the first ones count."""
        for name, leaves in values.items():
            for buffer, value in zip(self._buffers[name], leaves, strict=True):
                for i, (row, slot) in enumerate(places):
                    buffer[row, slot].copy_(value[i])

    def read(self, name: str, rows: Sequence[int], slots: Sequence[Sequence[int]]) -> list[Tensor]:
        """Frames [B, T, ...] of B streams; a view where they lie together, else a copy."""
        whole = list(range(self.slots))
        in_turn = list(rows) == list(range(rows[0], rows[0] + len(rows)))
        if in_turn and all(list(s) == whole for s in slots):
            return [x[rows[0] : rows[0] + len(rows)] for x in self._buffers[name]]
        flat = [r * self.slots + s for r, chosen in zip(rows, slots, strict=True) for s in chosen]
        gathered = []
        for buffer in self._buffers[name]:
            picked = buffer.flatten(0, 1).index_select(0, torch.tensor(flat, device=buffer.device))
            gathered.append(picked.view(len(rows), -1, *buffer.shape[2:]))
        return gathered
