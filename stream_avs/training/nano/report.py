"""Score presets on held-out streams and on real frames."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from stream_avs.config import BackendName, ModelConfig
from stream_avs.evaluation.real.annotations import read_annotations
from stream_avs.evaluation.real.run import Approach, load_approaches, run_model, score
from stream_avs.models.base import AnyModel, Decision
from stream_avs.models.consensus.model import Consensus
from stream_avs.models.nano.senses import Eye
from stream_avs.models.nano.stream import NanoStream
from stream_avs.models.registry import load_model
from stream_avs.training.nano.assets import RATE_HZ, Assets
from stream_avs.training.nano.dialogues import KINDS, draw_dialogues
from stream_avs.training.nano.exam import Stream, draw_streams, run_stream, score_streams

EXAM_SEED = 5
STREAMS = 12
PIECES = 4
DIALOGUES, DIALOGUE_SEED = 8, 31


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """What to score."""

    data: Path
    """Folder with masks/, sounds/ and clips/."""
    presets: tuple[str, ...] = ("consensus", "nano")
    """consensus, nano, or nano with one part off: nano-no-carry, nano-no-motion, nano-no-listener,
    nano-no-trunk, nano-no-synchrony, nano-no-split. A number after a colon replaces the threshold:
    consensus:0.65."""
    streams: int = STREAMS
    """Composed streams; 0 leaves them out."""
    pieces: int = PIECES
    """Clips of 1.4 s joined in each stream; 100 make two minutes and more."""
    dialogues: int = DIALOGUES
    """Streams of two people for each thing that the silent one does; 0 leaves them out."""
    real: bool = True
    """Score the annotated real frames."""
    threads: int = 2
    """For the networks."""


class _Remembering(nn.Module):
    """An eye that looks at the same picture once, for all variants of a network."""

    def __init__(self, eye: Eye) -> None:
        super().__init__()
        self.eye = eye
        self.known: dict[bytes, Tensor] = {}

    def forward(self, image: Tensor) -> Tensor:
        key = hashlib.sha256(image.numpy().tobytes()).digest()
        if key not in self.known:
            self.known[key] = self.eye(image)
        return self.known[key]


class _HalfLogits:
    """The same eye as `consensus` asks for it."""

    def __init__(self, eye: _Remembering) -> None:
        self.logits_half = eye


def report(config: ReportConfig, tell: Callable[[str], None]) -> dict[str, Any]:
    """Score presets; see `score_streams` and `evaluation.real.run.score` for the numbers."""
    models = {name: open_model(name, config.threads) for name in config.presets}
    streams = draw_streams(Assets(config.data, "test"), config.streams, config.pieces, EXAM_SEED)
    results: dict[str, Any] = {name: {"model": model.id} for name, model in models.items()}
    senses = load_model(ModelConfig(preset="nano", threads=config.threads))  # on the backend that ships
    assert isinstance(senses, NanoStream)
    eye = _Remembering(senses.eye)
    for name, model in models.items():
        if isinstance(model, NanoStream):
            models[name] = dataclasses.replace(model, eye=eye, ear=senses.ear)  # type: ignore[arg-type]
        elif isinstance(model, Consensus):
            models[name] = dataclasses.replace(model, eye=_HalfLogits(eye))  # type: ignore[arg-type]
    if config.real:
        for name, table in _score_real(models, config.data, eye, tell).items():
            results[name]["real"] = table
    for name, scores in _score_composed(models, streams, eye, tell).items():
        results[name]["composed"] = scores
    for kind in KINDS if config.dialogues else ():
        pairs = draw_dialogues(Assets(config.data, "test"), kind, config.dialogues, DIALOGUE_SEED)
        for name, scores in _score_composed(models, pairs, eye, tell).items():
            results[name][f"two people, one {kind}"] = scores
    return dict(_plain(results))


def open_model(name: str, threads: int) -> AnyModel:
    """Load a preset, with one of its parts off or another threshold if the name says so."""
    variant, _, threshold = name.partition(":")
    preset, _, off = variant.partition("-no-")
    config = ModelConfig(
        preset=preset,
        threshold=float(threshold or -1),
        threads=threads,
        backend=BackendName.EAGER,  # what is compiled does not follow when a part is taken off
    )
    model = load_model(config)
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
                synchrony=network.config.synchrony and off != "synchrony",
                split=network.config.split and off != "split",
            )
    return model


def _score_composed(
    models: dict[str, AnyModel],
    streams: list[Stream],
    eye: _Remembering,
    tell: Callable[[str], None],
) -> dict[str, dict[str, float]]:
    masks: dict[str, list[NDArray[np.uint8]]] = {name: [] for name in models if streams}
    for k, stream in enumerate(streams):
        for name, model in models.items():
            masks[name].append(run_stream(model, stream))
        eye.known.clear()
        tell(f"stream {k + 1} of {len(streams)}")
    return {name: score_streams(streams, made) for name, made in masks.items()}


def _score_real(
    models: dict[str, AnyModel], data: Path, eye: _Remembering, tell: Callable[[str], None]
) -> dict[str, dict[str, dict[str, float]]]:
    """Score the annotated frames, clip by clip, so that few are in memory."""
    frames = read_annotations()
    approaches: list[Approach] = []
    decisions: dict[str, list[Decision]] = {name: [] for name in models}
    for file in dict.fromkeys(f.file for f in frames):
        for approach in load_approaches([f for f in frames if f.file == file], data, RATE_HZ):
            for name, model in models.items():
                decisions[name].append(run_model(model, approach))
            approaches.append(dataclasses.replace(approach, images=()))
        eye.known.clear()
        tell(f"real {file}")
    return {name: score(approaches, data, made) for name, made in decisions.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 4)
    return value
