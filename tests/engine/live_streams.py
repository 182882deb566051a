"""Streams of random pictures and sounds, CCFormers small enough for them, and recomputation from scratch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stream_avs.engine.network_stream import NetworkStream, engine_of
from stream_avs.models.ccformer.ccformer import CCFormer
from stream_avs.models.ccformer.config import preset
from stream_avs.models.network import Network
from stream_avs.types import Frame, Window

PX = 64
SMALL: dict[str, Any] = {
    "input_px": PX, "d": 32, "heads": 2, "ffn": 48, "generator_ffn": 48, "mask_hidden": 16, "queries": 3,
    "frames": 3,
}  # fmt: skip


def network_of(name: str = "tiny", **changes: Any) -> CCFormer:
    """An untrained network every output of which depends on every input; its logits spread by about 1."""
    torch.manual_seed(0)
    network = CCFormer(preset(name, **changes)).eval()
    for key, parameter in network.named_parameters():
        if key.endswith(("offsets.weight", "weights.weight", "gate.weight")):
            torch.nn.init.normal_(parameter, std=0.1)  # these start at zero
        if key.endswith("classify.weight"):
            parameter.data *= 30  # as they begin, all logits are nearly zero
    return network


def small_network(**changes: Any) -> CCFormer:
    """`network_of("tiny")`, smaller still."""
    return network_of("tiny", **{**SMALL, **changes})


def stream_of(network: Network, px: int = PX, *, threshold: float = 0.5, **options: Any) -> NetworkStream:
    """A stream model in eager float32."""
    engine = engine_of(network, px, **options)
    return NetworkStream(engine, ["background", "sounding"], "test-00000000", threshold=threshold)


class Film:
    """Frame `seq` always has the same picture and the same sound.

    Args:
        model: gives the sizes.
        period_ns: time between frames.
    """

    def __init__(self, model: NetworkStream, period_ns: int = 40_000_000, seed: int = 0) -> None:
        self.model = model
        self.period_ns = period_ns
        self.seed = seed

    def frame(self, seq: int) -> Frame:
        px = self.model.input_px
        rng = np.random.default_rng((self.seed, seq, 0))
        image = rng.integers(0, 256, (px, px, 3), dtype=np.uint8)
        return Frame(image=image, stamp_ns=(seq + 1) * self.period_ns, arrival_ns=0, seq=seq)

    def samples(self, seq: int) -> np.ndarray:
        count = round(self.model.context_s * self.model.sample_rate_hz)
        rng = np.random.default_rng((self.seed, seq, 1))
        return rng.uniform(-1, 1, count).astype(np.float32) * rng.uniform()

    def window(self, seqs: Sequence[int], spacing_ns: int = 0) -> Window:
        """The window of these frames, oldest first."""
        return Window(
            frames=tuple(self.frame(seq) for seq in seqs),
            audio=np.stack([self.samples(seq) for seq in seqs]),
            audio_coverage=np.ones(len(seqs), np.float32),
            sample_rate_hz=self.model.sample_rate_hz,
            distinct=len(set(seqs)),
            spacing_ns=spacing_ns,
        )

    def inputs(self, seqs: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Network inputs [1, T, 3, S, S] and [1, T, ...] of these frames."""
        prepared = [self.model._prepare(0, self.frame(seq), self.samples(seq)) for seq in seqs]
        frames = torch.cat([p.image for p in prepared])[None].float() / 255.0
        return frames, torch.cat([p.log_mel for p in prepared])[None]


def padded(seqs: Sequence[int], count: int) -> list[int]:
    """The last `count`, the oldest repeated where there are fewer."""
    recent = list(seqs[-count:])
    return recent[:1] * (count - len(recent)) + recent
