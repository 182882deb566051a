"""Score presets on held-out streams and on real frames."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from stream_avs.config import ModelConfig
from stream_avs.evaluation.real.annotations import read_annotations
from stream_avs.evaluation.real.run import Approach, load_approaches, run_model, score
from stream_avs.models.base import AnyModel, Stages
from stream_avs.models.nano.stream import NanoStream
from stream_avs.models.registry import load_model
from stream_avs.training.nano.assets import RATE_HZ, Assets
from stream_avs.training.nano.exam import Stream, draw_streams, run_stream, score_streams

EXAM_SEED = 5
STREAMS = 12
PIECES = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """What to score."""

    data: Path
    """Folder with masks/, sounds/ and clips/."""
    preset: str = "nano"
    """consensus, nano, or nano with one part off: nano-no-carry, nano-no-motion, nano-no-listener,
    nano-no-trunk."""
    threshold: float = -1.0
    """Instead of the preset's own."""
    audio_context_s: float = 0.0
    """Instead of the preset's own."""
    streams: int = STREAMS
    """Composed streams of 48 frames; 0 leaves them out."""
    real: bool = True
    """Score the annotated real frames."""
    threads: int = 2
    """For the network."""


def report(config: ReportConfig, tell: Callable[[str], None]) -> dict[str, Any]:
    """Score one preset; see `score_streams` and `evaluation.real.run.score` for the numbers."""
    model = open_model(config)
    result: dict[str, Any] = {"model": model.id, "preset": config.preset, "threshold": config.threshold}
    result["audio_context_s"] = model.context_s
    if config.real:
        result["real"] = score_real(model, config.data, tell)
    if config.streams:
        streams = draw_streams(Assets(config.data, "test"), config.streams, PIECES, EXAM_SEED)
        masks = []
        for k, stream in enumerate(streams):
            masks.append(run_stream(model, _for_context(stream, model)))
            tell(f"stream {k + 1} of {len(streams)}")
        result["composed"] = score_streams(streams, masks)
        result["ms_per_step"] = time_steps(model, streams[0])
    return _plain(result)


def open_model(config: ReportConfig) -> AnyModel:
    """Load a preset, with one of its parts off if the name says so."""
    name, _, off = config.preset.partition("-no-")
    model = load_model(
        ModelConfig(
            preset=name,
            threshold=config.threshold,
            audio_context_s=config.audio_context_s,
            threads=config.threads,
        )
    )
    if off and isinstance(model, NanoStream):
        network = model.network
        if off == "carry":
            network.trunk.decoder.carry = None
        else:
            network.config = dataclasses.replace(
                network.config,
                motion=network.config.motion and off != "motion",
                refine_audio=network.config.refine_audio and off != "listener",
                residual=network.config.residual and off != "trunk",
            )
    return model


def score_real(model: AnyModel, data: Path, tell: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """Score the annotated frames, clip by clip, so that few are in memory."""
    frames = read_annotations()
    rows: list[tuple[Approach, Any]] = []
    for file in dict.fromkeys(f.file for f in frames):
        chosen = [f for f in frames if f.file == file]
        for approach in load_approaches(chosen, data, RATE_HZ):
            rows.append((dataclasses.replace(approach, images=()), run_model(model, approach)))
        tell(f"real {file}")
    decisions = {id(a): d for a, d in rows}
    return score([a for a, _ in rows], data, lambda a: decisions[id(a)])


def time_steps(model: AnyModel, stream: Stream, steps: int = 24) -> float:
    """Median milliseconds of one step."""
    state, taken = model.initial_state(), []
    for window in _for_context(stream, model).windows()[:steps]:
        start = time.perf_counter()
        _, state = model.step(window, state, Stages())
        taken.append((time.perf_counter() - start) * 1e3)
    return float(np.median(taken[2:]))


def _for_context(stream: Stream, model: AnyModel) -> Stream:
    """Contexts of the length that the model wants; longer ones begin with silence."""
    count = round(model.context_s * RATE_HZ)
    have = stream.contexts.shape[1]
    if count == have:
        return stream
    contexts = stream.contexts[:, -count:]
    if count > have:
        contexts = np.pad(contexts, ((0, 0), (count - have, 0)))
    return dataclasses.replace(stream, contexts=contexts)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 4)
    return value
