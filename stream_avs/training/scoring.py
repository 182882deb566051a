"""Score a network on one split: predict, add up, report, and keep a few clips to look at."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stream_avs.datasets.sample import ClipDataset
from stream_avs.evaluation.metrics import J_THRESHOLD, BinaryMetrics
from stream_avs.evaluation.report import EvalReport, scores_of
from stream_avs.evaluation.semantic_metrics import SemanticMetrics
from stream_avs.models.network import Network, sounding_probability
from stream_avs.training.batch import Batch, Collate
from stream_avs.training.config import Precision
from stream_avs.training.data import scoring_batches
from stream_avs.training.distributed import Group
from stream_avs.training.objective import segment


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """One clip to look at.

    Attributes:
        name: of the clip.
        frames: uint8 [T, S, S, 3], RGB.
        truth: uint8 [T, S, S], class ids.
        predicted: uint8 [T, S, S], class ids.
        labelled: bool [T], frames whose truth is known.
    """

    name: str
    frames: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    predicted: NDArray[np.uint8]
    labelled: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """The outcome of scoring one split.

    Attributes:
        report: all scores and what they depend on.
        j: the score that chooses the best checkpoint: J, or mIoU of several classes.
        f: F, likewise.
        examples: the first clips.
    """

    report: EvalReport
    j: float
    f: float
    examples: tuple[Example, ...]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How to score.

    Attributes:
        dataset: name for the report.
        split: name for the report.
        model: name for the report.
        size_px: side at which to run and to score; 0 for the network's own.
        batch: clips per batch.
        tpavi: average J and F over batches, as the published code does.
        score_padding: several classes: score padded frames too, as the published code does.
        precision: arithmetic of the forward pass.
        workers: processes that read clips.
        examples: clips to keep.
        notes: for the report.
    """

    dataset: str
    split: str
    model: str
    size_px: int = 0
    batch: int = 1
    tpavi: bool = False
    score_padding: bool = False
    precision: Precision = Precision.FP32
    workers: int = 0
    examples: int = 0
    notes: tuple[str, ...] = ()

    @property
    def averaging(self) -> str:
        """What the scores are means over."""
        return "tpavi, per batch" if self.tpavi else "per clip"


def score(
    network: Network,
    clips: ClipDataset,
    protocol: Protocol,
    group: Group,
    advance: Callable[[int], None] = lambda count: None,
) -> Scored:
    """Run the network over a split; with several processes each takes its part of the clips.

    Args:
        network: on the group's device; left in the mode it was in.
        clips: the split.
        protocol: how.
        group: the processes; all must call this together, and all get the outcome.
        advance: called with the number of clips done.
    """
    collate = Collate(
        size_px=protocol.size_px or network.config.input_px,
        audio=network.audio_input,
        binary=network.config.classes == 1 or len(clips.class_names) == 2,
    )
    tally = _Tally(len(clips.class_names), protocol, binary=collate.binary)
    mine = [
        range(first, min(first + protocol.batch, len(clips)))
        for first in range(group.rank * protocol.batch, len(clips), group.size * protocol.batch)
    ]
    training = network.training
    network.eval()
    pin = group.device.type == "cuda"
    for batch in scoring_batches(clips, collate, mine, workers=protocol.workers, pin=pin):
        with torch.no_grad(), arithmetic(protocol.precision, group.device):
            logits = segment(network, batch.to(group.device))
        tally.add(logits, batch)
        advance(len(batch) * group.size)
    network.train(training)
    first, *others = group.gather(tally)
    for other in others:
        first.merge(other)
    return first.outcome(collate.size_px)


def arithmetic(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Autocast to bfloat16, or nothing."""
    if precision is Precision.FP32:
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


class _Tally:
    """Adds up the scores of one process and keeps its first clips."""

    def __init__(self, classes: int, protocol: Protocol, *, binary: bool) -> None:
        self._protocol = protocol
        self._binary = BinaryMetrics(tpavi_compatible=protocol.tpavi) if binary else None
        self._semantic = None if binary else SemanticMetrics(classes, score_padding=protocol.score_padding)
        self._examples: list[Example] = []

    def add(self, logits: Tensor, batch: Batch) -> None:
        """Add one batch; `logits` [B, T, classes, S, S] on any device, `batch` on the CPU."""
        truth = batch.masks.numpy()
        scored = (batch.labelled & batch.valid).numpy()
        if self._binary is not None:
            frames = sounding_probability(logits.flatten(0, 1))  # [B * T, S, S]
            probability = frames.unflatten(0, logits.shape[:2]).cpu().numpy()
            self._binary.update(probability, truth, scored)
            predicted = (probability > J_THRESHOLD).astype(np.uint8)
        else:
            assert self._semantic is not None
            predicted = logits.argmax(2).to(torch.uint8).cpu().numpy()
            self._semantic.update(predicted, truth, batch.labelled.numpy(), batch.valid.numpy())
        for k in range(min(len(batch), self._protocol.examples - len(self._examples))):
            self._examples.append(
                Example(
                    name=batch.names[k],
                    frames=batch.frames[k].permute(0, 2, 3, 1).contiguous().numpy(),
                    truth=truth[k],
                    predicted=predicted[k],
                    labelled=scored[k],
                )
            )

    def merge(self, other: _Tally) -> None:
        """Add what another process has added up."""
        if self._binary is not None and other._binary is not None:
            self._binary.merge(other._binary)
        if self._semantic is not None and other._semantic is not None:
            self._semantic.merge(other._semantic)
        self._examples = [*self._examples, *other._examples][: self._protocol.examples]

    def outcome(self, size_px: int) -> Scored:
        """The scores of everything added."""
        if self._binary is not None:
            scores = scores_of(self._binary.compute())
        else:
            assert self._semantic is not None
            scores = scores_of(self._semantic.compute())
        clips, frames = int(scores.pop("clips")), int(scores.pop("frames"))
        protocol = self._protocol
        report = EvalReport(
            dataset=protocol.dataset, split=protocol.split, model=protocol.model,
            width_px=size_px, height_px=size_px, batch_clips=protocol.batch, protocol=protocol.averaging,
            clips=clips, frames=frames, scores=scores, notes=protocol.notes,
        )  # fmt: skip
        j = scores.get("j", scores.get("miou", math.nan))
        return Scored(report=report, j=j, f=scores["f"], examples=tuple(self._examples))
