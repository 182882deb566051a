"""CCFormer on many streams at once: each frame encoded once, fused once, everything else kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from stream_avs.engine.backends.base import Step
from stream_avs.engine.ccformer_examples import example_frame, example_steps
from stream_avs.engine.frame_store import FrameStore, Leaves
from stream_avs.engine.network_engine import NetworkEngine
from stream_avs.engine.requests import FrameInput, Request
from stream_avs.models.ccformer.cached_step import Encoded, Fused
from stream_avs.models.ccformer.ccformer import CCFormer
from stream_avs.models.ccformer.config import Mode


class CCFormerEngine(NetworkEngine[CCFormer, Encoded]):
    """See `NetworkEngine`; window and causal mode, inter-frame queries carried from step to step."""

    def __init__(self, network: CCFormer, input_px: int, *, rows: int = 1, **options: Any) -> None:
        self.causal = network.config.mode is Mode.CAUSAL
        super().__init__(network, input_px, rows=rows, **options)
        self._carried = FrameStore({"queries": [self.network.no_queries(1)]}, rows, 2)

    def example_frame(self) -> Leaves:
        return example_frame(self.network, self.input_px)

    def example_steps(self, batch: int) -> tuple[Step, Step]:
        return example_steps(self.network, self.input_px, batch)

    @property
    def mask_shape(self) -> tuple[int, int]:
        h, w = self.network.sizes(self.input_px, self.input_px)[0]
        return h * self.network.config.upsample, w * self.network.config.upsample

    def make_room(self, rows: int, slots: int, steps: int) -> None:
        super().make_room(rows, slots, steps)
        with torch.inference_mode():
            self._carried.resize(rows, steps)

    def clear(self, row: int) -> None:
        super().clear(row)
        with torch.inference_mode():
            self._carried.clear(row)

    def _encode(self, frames: Sequence[tuple[int, FrameInput]], size: int) -> Encoded:
        encoded = cast(Encoded, self._program(size, 0)(*self._inputs(frames, size)))
        kept: Leaves = {"keys": encoded.keys, "values": encoded.values, "audio": [encoded.audio]}
        if not self.causal:
            kept["coarser"] = encoded.coarser
        self._store.write([(row, frame.slot) for row, frame in frames], kept)
        return encoded

    def _fuse(self, requests: Sequence[Request], size: int, encoded: Encoded) -> tuple[Tensor, Tensor]:
        filled = [*requests, *[requests[-1]] * (size - len(requests))]
        rows = [request.row for request in filled]
        slots = [self._slots_of(request) for request in filled]
        carried = [[request.carried or 0] for request in filled]
        reset = self._bools([[request.carried is None] for request in filled])[:, 0]
        queries = self._carried.read("queries", rows, carried)[0][:, 0].contiguous()

        def kept(name: str) -> list[Tensor]:
            return self._store.read(name, rows, slots)

        run = self._program(size, 1)
        if self.causal:
            known = [[s in r.looks_at for s in chosen] for r, chosen in zip(filled, slots, strict=True)]
            if any(len(set(chosen)) < len(chosen) for chosen in slots):
                known = [_first_ones(chosen, row) for chosen, row in zip(slots, known, strict=True)]
            older = [
                [k and s != r.newest.slot for k, s in zip(row, chosen, strict=True)]
                for row, r, chosen in zip(known, filled, slots, strict=True)
            ]
            fused = cast(Fused, run(
                encoded.finest, encoded.coarser, encoded.audio, kept("keys"), kept("values"),
                kept("audio")[0], kept("asked"), kept("heard"), queries, self._bools(known),
                self._bools(older), reset,
            ))  # fmt: skip
        else:
            places = [
                b * self.frames + chosen.index(request.newest.slot)
                for b, (request, chosen) in enumerate(zip(filled, slots, strict=True))
            ]
            fused = cast(Fused, run(
                encoded.finest, kept("coarser"), kept("keys"), kept("values"), kept("audio")[0], queries,
                torch.tensor(places, device=self.device), reset,
            ))  # fmt: skip
        self._carried.write([(r.row, r.leaves) for r in requests], {"queries": [fused.queries]})
        if self.causal:
            left: Leaves = {"asked": fused.asked, "heard": fused.heard}
            self._store.write([(r.row, r.newest.slot) for r in requests], left)
        return fused.mask, fused.sounding

    def _slots_of(self, request: Request) -> list[int]:
        """T slots, in rising order where that makes them all there are; unknown ones are masked."""
        if self.causal:
            if self._store.slots == self.frames:
                return list(range(self.frames))
            missing = self.frames - len(request.looks_at)
            return [*request.looks_at, *[request.newest.slot] * missing]
        return sorted(request.looks_at)

    def _bools(self, rows: list[list[bool]]) -> Tensor:
        return torch.tensor(rows, dtype=torch.bool, device=self.device)


def _first_ones(slots: Sequence[int], known: Sequence[bool]) -> list[bool]:
    """`known` with repeats of a slot masked."""
    return [k and slots.index(s) == i for i, (k, s) in enumerate(zip(known, slots, strict=True))]
