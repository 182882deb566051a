"""What a mask of a live preset costs, on several backends and for many sessions of one network.

The backends take turns within each round, so that whatever else the machine does falls on all alike;
compare the ratios of one run, on a busy machine those of processor time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stream_avs.benchmarks.clip import Clip, read_clip
from stream_avs.benchmarks.machine import Quantiles, quantiles
from stream_avs.config import BackendName, ModelConfig
from stream_avs.models.base import AnyModel, Stages
from stream_avs.models.deformable_attention import DeformableAttention
from stream_avs.models.registry import load_model
from stream_avs.types import NS_PER_S, Frame, Window

_WARM_UP_ROUNDS = 3
_START = 50  # two seconds into the clip: someone speaks


@dataclass(frozen=True, kw_only=True, slots=True)
class Sessions:
    """Some sessions of one network, stepped one after the other.

    Attributes:
        model: id of the network.
        backend: asked for; `notes` say what runs.
        sessions: how many.
        step: one mask of one session.
        masks_per_s: of all sessions together.
        cpu_ms: median processor time of a mask, all threads.
        state_mb: what one session carries from mask to mask, MB (10^6 bytes).
        deformable_share: of deformable attention in processor time; 0 where it is compiled into the rest.
        load_s: seconds to load the network.
        stages_ms: median of each stage.
        notes: which backend runs and why not another.
    """

    model: str
    backend: str
    sessions: int
    step: Quantiles
    masks_per_s: float
    cpu_ms: float
    state_mb: float
    deformable_share: float
    load_s: float
    stages_ms: dict[str, float]
    notes: tuple[str, ...]


def measure_sessions(
    config: ModelConfig,
    source: Path,
    *,
    backends: Sequence[BackendName],
    counts: Sequence[int] = (1,),
    rounds: int = 20,
    progress: Callable[[str], None] = lambda what: None,
) -> list[Sessions]:
    """Load the preset once on each backend and step `counts` sessions of each.

    Raises:
        StreamAvsError: the network cannot be loaded, or a backend cannot run here.
    """
    loaded = []
    for backend in backends:
        progress(f"loading {config.preset} on {backend}")
        begun_s = time.monotonic()
        model = load_model(replace(config, backend=backend))
        loaded.append((model, backend, torch.get_num_threads(), time.monotonic() - begun_s))
    clip = read_clip(source, sample_rate_hz=loaded[0][0].sample_rate_hz)
    results = []
    for count in counts:
        runs = [_Run(model, count, threads) for model, _, threads, _ in loaded]
        for turn in range(rounds + _WARM_UP_ROUNDS):
            progress(f"{count} sessions, round {turn + 1} of {rounds + _WARM_UP_ROUNDS}")
            for run in runs:
                run.step(clip, turn)
        results += [
            run.result(backend, load_s) for run, (_, backend, _, load_s) in zip(runs, loaded, strict=True)
        ]
    return results


class _Run:
    """Sessions of one network, and what they took."""

    def __init__(self, model: AnyModel, sessions: int, threads: int) -> None:
        self._model = model
        self._states: list[Any] = [model.initial_state() for _ in range(sessions)]
        self._threads = threads
        self._wall_ms: list[float] = []
        self._cpu_ms: list[float] = []
        self._deformable_ms: list[float] = []
        self._stages: list[dict[str, float]] = []

    def step(self, clip: Clip, turn: int) -> None:
        """Each session once."""
        torch.set_num_threads(self._threads)
        for k, state in enumerate(self._states):
            window, stages = _window(clip, self._model, turn + k), Stages()
            with _deformable(self._model) as inside:
                wall_ns, cpu_ns = time.perf_counter_ns(), time.process_time_ns()
                _, self._states[k] = self._model.step(window, state, stages)
                wall_ns, cpu_ns = time.perf_counter_ns() - wall_ns, time.process_time_ns() - cpu_ns
            if turn >= _WARM_UP_ROUNDS:
                self._wall_ms.append(wall_ns / 1e6)
                self._cpu_ms.append(cpu_ns / 1e6)
                self._deformable_ms.append(sum(inside))
                self._stages.append(stages.ms)

    def result(self, backend: BackendName, load_s: float) -> Sessions:
        """Sum up."""
        cpu_ms = median(self._cpu_ms)
        return Sessions(
            model=self._model.id, backend=backend.value, sessions=len(self._states),
            step=quantiles(self._wall_ms),
            masks_per_s=1000.0 * len(self._wall_ms) / sum(self._wall_ms), cpu_ms=cpu_ms,
            state_mb=sum(held(self._states[0]).values()) / 1e6,
            deformable_share=median(self._deformable_ms) / cpu_ms, load_s=load_s,
            stages_ms={name: median(s.get(name, 0.0) for s in self._stages) for name in self._stages[-1]},
            notes=self._model.notes,
        )  # fmt: skip


def held(state: object) -> dict[int, int]:
    """Bytes of each tensor and array, by identity, in dataclasses, tuples, lists and dicts."""
    if isinstance(state, Tensor | np.ndarray):
        return {id(state): state.nbytes}
    if is_dataclass(state):
        parts: list[object] = [getattr(state, f.name) for f in fields(state)]
    elif isinstance(state, dict):
        parts = list(state.values())
    else:
        parts = list(state) if isinstance(state, tuple | list) else []
    return {key: size for part in parts for key, size in held(part).items()}


def _window(clip: Clip, model: AnyModel, turn: int) -> Window:
    """The frames up to one of the clip, each with the sound that ends there."""
    length = round(model.context_s * clip.sample_rate_hz)
    frames, audio = [], []
    for k in range(_START + turn - model.frames + 1, _START + turn + 1):
        at = k % len(clip.pictures)
        frames.append(Frame(
            image=clip.pictures[at], stamp_ns=round(k * NS_PER_S / clip.fps), arrival_ns=0, seq=k,
        ))  # fmt: skip
        end = round(at / clip.fps * clip.sample_rate_hz)
        audio.append(np.take(clip.sound, range(end - length, end), mode="wrap"))
    return Window(
        frames=tuple(frames),
        audio=np.stack(audio),
        audio_coverage=np.ones(model.frames, np.float32),
        sample_rate_hz=clip.sample_rate_hz,
        distinct=model.frames,
    )


@contextmanager
def _deformable(model: AnyModel) -> Iterator[list[float]]:
    """Processor time of each call of deformable attention meanwhile, ms; none where it is compiled in."""
    networks = [part for part in vars(model).values() if isinstance(part, nn.Module)]
    modules = {m for part in networks for m in part.modules() if isinstance(m, DeformableAttention)}
    spent: list[float] = []

    def begin(*_: object) -> None:
        spent.append(-time.process_time_ns() / 1e6)

    def end(*_: object) -> None:
        spent[-1] += time.process_time_ns() / 1e6

    hooks = [
        hook for m in modules for hook in (m.register_forward_pre_hook(begin), m.register_forward_hook(end))
    ]
    try:
        yield spent
    finally:
        for hook in hooks:
            hook.remove()
