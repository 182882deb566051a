"""A network on many streams at once: what the engines of all architectures have in common.

A request names the frames to encode and the slots to look at; requests of any streams go through
the network together. Which frames those are is decided in `stream_plan`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

from stream_avs.config import BackendName, Precision
from stream_avs.engine.backends.base import Step
from stream_avs.engine.backends.eager import Eager
from stream_avs.engine.backends.prepare import Report, prepare
from stream_avs.engine.batch_sizes import batches
from stream_avs.engine.frame_store import FrameStore, Leaves
from stream_avs.engine.requests import FrameInput, Output, Request
from stream_avs.models.network import Network

Run = Callable[..., object]
Row = TypeVar("Row")
N = TypeVar("N", bound=Network)
E = TypeVar("E")


class NetworkEngine(Generic[N, E]):
    """One network made fast on one device. Not thread-safe.

    Subclasses say what is kept of a frame, which two steps make a mask (encode a frame, fuse frames),
    and how to call them.

    Args:
        network: in evaluation mode; moved to `device`.
        input_px: side of the square images.
        backend, precision, threads: see `prepare`.
        batch_sizes: compiled backends get one program for each; PyTorch takes any size anyway.
        rows: streams there is room for; more are made room for when they come.
        device: where to run.
    """

    causal = False
    """Whether a frame looks at the frames stepped before it rather than at those of its window."""

    def __init__(
        self,
        network: N,
        input_px: int,
        *,
        backend: BackendName = BackendName.EAGER,
        precision: Precision = Precision.F32,
        threads: int = 2,
        batch_sizes: Sequence[int] = (1,),
        rows: int = 1,
        device: str = "cpu",
    ) -> None:
        self.network: N = network.to(device).eval().requires_grad_(False)
        self.input_px = input_px
        self.device = torch.device(device)
        self.frames = network.config.live_frames
        self.steps_run = 0
        """Times the fusion ran, batches of any size."""
        self._store = FrameStore(self.example_frame(), rows, self.frames)
        self._programs: dict[int, tuple[Run, Run]] = {}
        self.reports: list[Report] = []
        for size in sorted(set(batch_sizes)):
            chosen = self.reports[-1] if self.reports else None
            if chosen is not None and chosen.backend == Eager.name:
                break  # takes any size
            pair = []
            for step in self.example_steps(size):
                ready = prepare(step, backend=backend, precision=precision, threads=threads)
                pair.append(ready.program)
                self.reports.append(ready.report)
            self._programs[size] = (pair[0], pair[1])
        eager = all(report.backend == Eager.name for report in self.reports)
        self._sizes = None if eager else tuple(self._programs)

    # what an architecture says

    def example_frame(self) -> Leaves:
        """What is kept of one frame of one stream, [1, ...] each."""
        raise NotImplementedError

    def example_steps(self, batch: int) -> tuple[Step, Step]:
        """Both halves of a mask, with input as in the middle of a stream: encode, and fuse."""
        raise NotImplementedError

    @property
    def mask_shape(self) -> tuple[int, int]:
        """(h, w) of every mask."""
        return self.input_px, self.input_px

    def _encode(self, frames: Sequence[tuple[int, FrameInput]], size: int) -> E:
        """Encode the frames of some rows, in a batch of `size`, and keep what others will look at."""
        raise NotImplementedError

    def _fuse(self, requests: Sequence[Request], size: int, encoded: E) -> tuple[Tensor, Tensor]:
        """Masks [size, classes, H, W] and sounding logits [size] of the newest frames."""
        raise NotImplementedError

    # streams

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

    def clear(self, row: int) -> None:
        """Forget everything of a stream."""
        with torch.inference_mode():
            self._store.clear(row)

    def step(self, requests: Sequence[Request]) -> list[Output]:
        """One mask for each request; at most one request for each row."""
        outputs: list[Output] = []
        with torch.inference_mode():
            strays = [(request.row, frame) for request in requests for frame in request.others]
            for part, size in _cut(strays, self._sizes):
                self._encode(part, size)
            for some, size in _cut(list(requests), self._sizes):
                encoded = self._encode([(request.row, request.newest) for request in some], size)
                mask, sounding = self._fuse(some, size, encoded)
                self.steps_run += 1
                outputs += self._decide(mask, sounding, [request.threshold for request in some])
        return outputs

    def _inputs(self, frames: Sequence[tuple[int, FrameInput]], size: int) -> tuple[Tensor, Tensor]:
        """Pictures in 0..1 and log-mels, the last frame repeated to fill the batch."""
        filled = [*frames, *[frames[-1]] * (size - len(frames))]
        images = torch.cat([frame.image for _, frame in filled]).to(self.device, non_blocking=True)
        log_mels = torch.cat([frame.log_mel for _, frame in filled]).to(self.device, non_blocking=True)
        return images.float().div_(255.0).contiguous(), log_mels

    def _decide(self, mask: Tensor, sounding: Tensor, thresholds: list[float]) -> list[Output]:
        count = len(thresholds)
        pixels = decide(mask[:count], torch.tensor(thresholds, device=mask.device)).cpu().numpy()
        # Thresholding hides what is not a number in a mask: the score, which is looked at, takes it over.
        poison = mask[:count].float().flatten(1).sum(1) * 0
        scores = (sounding[:count].float() + poison).sigmoid().tolist()
        return [Output(pixels=pixels[i], sounding=scores[i], logits=mask[i]) for i in range(count)]

    def _program(self, size: int, half: int) -> Run:
        if self._sizes is None:
            return next(iter(self._programs.values()))[half]
        return self._programs[size][half]


def decide(logits: Tensor, thresholds: Tensor) -> Tensor:
    """Class ids and confidence, on the device the logits are on.

    Args:
        logits: [B, classes, H, W]; one class: sigmoid; several: softmax, class 0 is background.
        thresholds: float32 [B]; the winning class must be more probable than this.

    Returns:
        uint8 [B, 2, H, W]: class id, and probability times 255; both 0 where nothing sounds.
    """
    if logits.shape[1] == 1:
        best = logits[:, 0].float().sigmoid()
        winner = torch.ones_like(best, dtype=torch.uint8)
    else:
        best, index = logits.float().softmax(1).max(1)
        winner = index.to(torch.uint8)
    sounds = (best > thresholds[:, None, None]) & (winner > 0)
    confidence = (best * 255.0).round().clamp_(0, 255).to(torch.uint8)
    return torch.stack([winner, confidence], dim=1) * sounds[:, None]


def _cut(rows: list[Row], sizes: Sequence[int] | None) -> list[tuple[list[Row], int]]:
    parts, at = [], 0
    for count, size in batches(len(rows), sizes) if rows else []:
        parts.append((rows[at : at + count], size))
        at += count
    return parts
