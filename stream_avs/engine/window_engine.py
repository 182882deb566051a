"""Networks that carry nothing, on many streams at once: each frame encoded once, its window fused once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from stream_avs.engine.backends.base import Step
from stream_avs.engine.frame_store import Leaves
from stream_avs.engine.network_engine import NetworkEngine
from stream_avs.engine.requests import FrameInput, Request
from stream_avs.models.live_step import EncodeFrame, SegmentNewest
from stream_avs.models.network import FrameFeatures, StatelessNetwork


class WindowEngine(NetworkEngine[StatelessNetwork, FrameFeatures]):
    """See `NetworkEngine`; what windows share of each frame is kept, and nothing else."""

    def example_frame(self) -> Leaves:
        with torch.inference_mode():
            features = EncodeFrame(self.network)(*example_inputs(self.network, self.input_px, 1))
        return {"shared": features.shared}

    def example_steps(self, batch: int) -> tuple[Step, Step]:
        return example_steps(self.network, self.input_px, batch)

    def _encode(self, frames: Sequence[tuple[int, FrameInput]], size: int) -> FrameFeatures:
        features = cast(FrameFeatures, self._program(size, 0)(*self._inputs(frames, size)))
        self._store.write([(row, frame.slot) for row, frame in frames], {"shared": features.shared})
        return features

    def _fuse(self, requests: Sequence[Request], size: int, encoded: FrameFeatures) -> tuple[Tensor, Tensor]:
        filled = [*requests, *[requests[-1]] * (size - len(requests))]
        rows, slots = [r.row for r in filled], [sorted(r.looks_at) for r in filled]
        shared = self._store.read("shared", rows, slots)
        return cast(tuple[Tensor, Tensor], self._program(size, 1)(encoded.own, shared))


def example_inputs(network: StatelessNetwork, input_px: int, batch: int) -> tuple[Tensor, Tensor]:
    """Noise: frames [B, 3, S, S] in 0..1 and log-mels; always the same."""
    generator = torch.Generator().manual_seed(0)
    frame = torch.rand(batch, 3, input_px, input_px, generator=generator)
    audio = torch.randn(batch, *network.audio_shape, generator=generator)
    return frame.to(network.mean.device), audio.to(network.mean.device)


def example_steps(network: StatelessNetwork, input_px: int, batch: int) -> tuple[Step, Step]:
    """Both halves of a mask with input as in the middle of a stream."""
    encode, segment = EncodeFrame(network).eval(), SegmentNewest(network).eval()
    inputs = example_inputs(network, input_px, batch)
    with torch.no_grad():
        features = encode(*inputs)
    T = network.config.live_frames
    shared = [torch.stack([x * (1 - 0.1 * t) for t in range(T)], dim=1) for x in features.shared]
    return Step(module=encode, example=inputs), Step(module=segment, example=(features.own, shared))
