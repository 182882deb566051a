"""Nano on a fast backend: its eye, its ear and its trunk each become one compiled step.

The ear computes in float32 also where the rest does not: bfloat16 changes its log-odds by up to
0.4, which is the order of close classes, and it costs next to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import cast

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from stream_avs.config import ModelConfig, Precision
from stream_avs.engine.backends.base import Program, Step
from stream_avs.engine.backends.prepare import prepare
from stream_avs.models.ccformer.step import CausalState, CausalStep
from stream_avs.models.nano.senses import Ear, Eye
from stream_avs.models.nano.stream import NanoStream
from stream_avs.models.nano.stream import load as load_eager

_LOG_MEL = (1, 1, 128, 200)


@dataclass(frozen=True, kw_only=True, eq=False)
class FastNano(NanoStream):
    """`NanoStream` with compiled parts.

    Attributes:
        notes: which backend runs each part and why not another.
    """

    notes: tuple[str, ...] = ()


class _Trunk:
    """The trunk's compiled step in the place of `CausalStep`."""

    def __init__(self, causal: CausalStep, program: Program) -> None:
        self.initial_state = causal.initial_state
        self._program = program

    def __call__(
        self, maps: Tensor, audio: Tensor, state: CausalState, reset: Tensor
    ) -> tuple[Tensor, Tensor, CausalState]:
        mask, sounding, following = cast(
            tuple[Tensor, Tensor, CausalState], self._program(maps, audio, state, reset)
        )
        # the program writes its results over older ones, and sessions share it
        return mask, sounding, cast(CausalState, tree_map(torch.clone, following))


def accelerate(stream: NanoStream, config: ModelConfig) -> FastNano:
    """Compile the parts of a nano.

    Raises:
        StreamAvsError: the backend asked for cannot run here.
    """
    notes: list[str] = []

    def fast(name: str, step: Step, precision: Precision) -> Program:
        ready = prepare(step, backend=config.backend, precision=precision, threads=config.threads)
        notes.extend(f"{name}: {line}" for line in ready.report.notes)
        return ready.program

    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    px, trunk = stream.input_px, stream.network.trunk
    ear_precision = Precision.F32 if config.precision is Precision.AUTO else config.precision
    picture, log_mel = noise(1, 3, px, px), noise(*_LOG_MEL)
    eye = fast("eye", Step(module=stream.eye, example=(picture,)), config.precision)
    ear = fast("ear", Step(module=stream.ear, example=(log_mel,)), ear_precision)
    with torch.no_grad():
        cells = sum(c * h * w for c, (h, w) in zip(trunk.channels, trunk.sizes(px, px), strict=True))
        maps, audio = noise(1, cells), noise(1, *trunk.audio_shape)
        started = torch.ones(1, dtype=torch.bool)
        state = stream.causal.initial_state(1)
        for _ in range(trunk.config.frames):  # until everything that is remembered is known
            _, _, state = stream.causal(maps, audio, state, started)
            started = torch.zeros(1, dtype=torch.bool)
    causal = fast(
        "trunk", Step(module=stream.causal, example=(maps, audio, state, started)), config.precision
    )
    parts = {f.name: getattr(stream, f.name) for f in fields(stream)}
    parts |= {"eye": cast(Eye, eye), "ear": cast(Ear, ear), "notes": tuple(notes)}
    return FastNano(**{**parts, "causal": cast(CausalStep, _Trunk(stream.causal, causal))})


def load(config: ModelConfig) -> FastNano:
    """As `models.nano.stream.load`, on the backend `config` asks for; see there for the errors."""
    return accelerate(load_eager(config), config)
