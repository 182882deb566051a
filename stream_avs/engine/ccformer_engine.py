"""CCFormer on many streams at once: each frame encoded once, fused once, everything else kept.

A request names the frames to encode and the slots to look at; requests of any streams go through
the network together. Which frames those are is decided in `ccformer_plan`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stream_avs.config import BackendName, Precision
from stream_avs.engine.backends.eager import Eager
from stream_avs.engine.backends.prepare import Report, prepare
from stream_avs.engine.batch_sizes import batches
from stream_avs.engine.ccformer_examples import example_frame, example_steps
from stream_avs.engine.frame_store import FrameStore, Leaves
from stream_avs.models.ccformer.cached_step import Encoded, Fused
from stream_avs.models.ccformer.ccformer import CCFormer
from stream_avs.models.ccformer.config import Mode

Run = Callable[..., object]
Row = TypeVar("Row")


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameInput:
    """One frame to encode.

    Attributes:
        slot: where its features go.
        image: uint8 [1, 3, S, S], RGB.
        log_mel: float32 [1, *audio_shape].
    """

    slot: int
    image: Tensor
    log_mel: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """One mask wanted of one stream.

    Attributes:
        row: of the stream.
        newest: the frame the mask is for.
        others: older frames of the window that are not kept yet.
        looks_at: slots of the frames in play, `newest` among them; in window mode one for each
            frame of the window, repeats included.
        carried: where the inter-frame queries that are carried here were left; None starts afresh.
        leaves: where to leave those for later.
    """

    row: int
    newest: FrameInput
    others: tuple[FrameInput, ...] = ()
    looks_at: tuple[int, ...]
    carried: int | None
    leaves: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Output:
    """What the network says about one frame.

    Attributes:
        pixels: uint8 [2, H, W], class ids, and probability of the winning class times 255.
        sounding: probability that anything visible sounds.
        logits: [classes, H, W] on the device; valid until the next step.
    """

    pixels: NDArray[np.uint8]
    sounding: float
    logits: Tensor


class CCFormerEngine:
    """One network made fast on one device. Not thread-safe.

    Args:
        network: in evaluation mode; moved to `device`.
        input_px: side of the square images.
        backend, precision, threads: see `prepare`.
        batch_sizes: compiled backends get one program for each; PyTorch takes any size anyway.
        rows: streams there is room for; more are made room for when they come.
        threshold: a pixel sounds above this probability.
        device: where to run.
    """

    def __init__(
        self,
        network: CCFormer,
        input_px: int,
        *,
        backend: BackendName = BackendName.EAGER,
        precision: Precision = Precision.F32,
        threads: int = 2,
        batch_sizes: Sequence[int] = (1,),
        rows: int = 1,
        threshold: float = 0.5,
        device: str = "cpu",
    ) -> None:
        self.network = network.to(device).eval().requires_grad_(False)
        self.input_px = input_px
        self.threshold = threshold
        self.device = torch.device(device)
        self.frames = network.config.frames
        self.causal = network.config.mode is Mode.CAUSAL
        self.steps_run = 0
        """Times the fusion ran, batches of any size."""
        self._store = FrameStore(example_frame(network, input_px), rows, self.frames)
        queries = self.network.no_queries(1)
        self._carried = FrameStore({"queries": [queries]}, rows, 2)
        self._programs: dict[int, tuple[Run, Run]] = {}
        self.reports: list[Report] = []
        for size in sorted(set(batch_sizes)):
            chosen = self.reports[-1] if self.reports else None
            if chosen is not None and chosen.backend == Eager.name:
                break  # takes any size
            pair = []
            for step in example_steps(network, input_px, size):
                ready = prepare(step, backend=backend, precision=precision, threads=threads)
                pair.append(ready.program)
                self.reports.append(ready.report)
            self._programs[size] = (pair[0], pair[1])
        eager = all(report.backend == Eager.name for report in self.reports)
        self._sizes = None if eager else tuple(self._programs)

    @property
    def rows(self) -> int:
        """Streams there is room for."""
        return self._store.rows

    @property
    def slots(self) -> int:
        """Frames kept per stream."""
        return self._store.slots

    @property
    def slot_bytes(self) -> int:
        """Memory that one kept frame takes."""
        return self._store.slot_bytes

    def make_room(self, rows: int, slots: int, steps: int) -> None:
        """Grow to at least so many streams, frames and sets of carried queries; programs stay as they are."""
        with torch.inference_mode():
            self._store.resize(rows, slots)
            self._carried.resize(rows, steps)

    def clear(self, row: int) -> None:
        """Forget everything of a stream."""
        with torch.inference_mode():
            self._store.clear(row)
            self._carried.clear(row)

    def step(self, requests: Sequence[Request]) -> list[Output]:
        """One mask for each request; at most one request for each row."""
        outputs: list[Output] = []
        with torch.inference_mode():
            strays = [(request.row, frame) for request in requests for frame in request.others]
            for part, size in _cut(strays, self._sizes):
                self._encode(part, size)
            for some, size in _cut(list(requests), self._sizes):
                encoded = self._encode([(request.row, request.newest) for request in some], size)
                fused = self._fuse(some, size, encoded)
                outputs += self._decide(fused, len(some))
        return outputs

    def _encode(self, frames: Sequence[tuple[int, FrameInput]], size: int) -> Encoded:
        filled = [*frames, *[frames[-1]] * (size - len(frames))]
        images = torch.cat([frame.image for _, frame in filled]).to(self.device, non_blocking=True)
        log_mels = torch.cat([frame.log_mel for _, frame in filled]).to(self.device, non_blocking=True)
        pixels = images.float().div_(255.0).contiguous()
        encoded = cast(Encoded, self._program(size, 0)(pixels, log_mels))
        kept: Leaves = {"keys": encoded.keys, "values": encoded.values, "audio": [encoded.audio]}
        if not self.causal:
            kept["coarser"] = encoded.coarser
        self._store.write([(row, frame.slot) for row, frame in frames], kept)
        return encoded

    def _fuse(self, requests: Sequence[Request], size: int, encoded: Encoded) -> Fused:
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
        self.steps_run += 1
        return fused

    def _slots_of(self, request: Request) -> list[int]:
        """T slots, in rising order where that makes them all there are; unknown ones are masked."""
        if self.causal:
            if self._store.slots == self.frames:
                return list(range(self.frames))
            missing = self.frames - len(request.looks_at)
            return [*request.looks_at, *[request.newest.slot] * missing]
        return sorted(request.looks_at)

    def _decide(self, fused: Fused, count: int) -> list[Output]:
        pixels = decide(fused.mask[:count], self.threshold).cpu().numpy()
        sounding = fused.sounding[:count].sigmoid().tolist()
        return [Output(pixels=pixels[i], sounding=sounding[i], logits=fused.mask[i]) for i in range(count)]

    def _program(self, size: int, half: int) -> Run:
        if self._sizes is None:
            return next(iter(self._programs.values()))[half]
        return self._programs[size][half]

    def _bools(self, rows: list[list[bool]]) -> Tensor:
        return torch.tensor(rows, dtype=torch.bool, device=self.device)


def decide(logits: Tensor, threshold: float) -> Tensor:
    """Class ids and confidence, on the device the logits are on.

    Args:
        logits: [B, classes, H, W]; one class: sigmoid; several: softmax, class 0 is background.
        threshold: the winning class must be more probable than this.

    Returns:
        uint8 [B, 2, H, W]: class id, and probability times 255; both 0 where nothing sounds.
    """
    if logits.shape[1] == 1:
        best = logits[:, 0].float().sigmoid()
        winner = torch.ones_like(best, dtype=torch.uint8)
    else:
        best, index = logits.float().softmax(1).max(1)
        winner = index.to(torch.uint8)
    sounds = (best > threshold) & (winner > 0)
    confidence = (best * 255.0).round().clamp_(0, 255).to(torch.uint8)
    return torch.stack([winner, confidence], dim=1) * sounds[:, None]


def _first_ones(slots: Sequence[int], known: Sequence[bool]) -> list[bool]:
    """`known` with repeats of a slot masked."""
    return [k and slots.index(s) == i for i, (k, s) in enumerate(zip(known, slots, strict=True))]


def _cut(rows: list[Row], sizes: Sequence[int] | None) -> list[tuple[list[Row], int]]:
    parts, at = [], 0
    for count, size in batches(len(rows), sizes) if rows else []:
        parts.append((rows[at : at + count], size))
        at += count
    return parts
