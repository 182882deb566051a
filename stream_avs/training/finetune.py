"""Settings for training on somebody's own few clips, and what the shipped presets score on the same clips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import tyro
from numpy.typing import NDArray

from stream_avs.audio.mn_mel import SAMPLE_RATE_HZ
from stream_avs.config import ModelConfig, require
from stream_avs.datasets.avsbench import LogMelFrom
from stream_avs.datasets.avsbench_ms3 import Ms3Dataset
from stream_avs.datasets.avsbench_s4 import S4Dataset
from stream_avs.datasets.check import KINDS, kinds_in
from stream_avs.datasets.sample import ClipDataset, ClipSample
from stream_avs.errors import ConfigError
from stream_avs.evaluation.metrics import BinaryMetrics, BinaryScores
from stream_avs.evaluation.windows import one_frame
from stream_avs.models.architectures import architecture_of
from stream_avs.models.base import AnyModel, Stages
from stream_avs.models.checkpoint import load_network
from stream_avs.models.registry import load_model
from stream_avs.training.config import DatasetKind, TrainConfig, recipe
from stream_avs.training.schedule import Decay, ScheduleConfig

STEPS = 400
"""Optimiser steps unless asked otherwise: minutes on two CPU cores."""
_KINDS = (DatasetKind.S4, DatasetKind.MS3)
_WARMUP_SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """What to train on, from where, and for how long."""

    root: Annotated[str, tyro.conf.Positional]
    """Folder in the layout of AVSBench S4 or MS3; `stream-avs dataset check` says what is wrong with it."""
    start: str = ""
    """Checkpoint to go on from; else a new CCFormer on the bundled encoders, which need no download."""
    out: str = "out/finetune"
    """Folder for checkpoints, log, curves and report."""
    steps: int = STEPS
    """Optimiser steps, rounded up to whole passes over the clips."""
    batch: int = 4
    """Clips per step."""
    learning_rate: float = 5e-4
    """Highest rate of AdamW; warms up, then falls as a cosine."""
    train_encoder: bool = False
    """Train the image encoder too: for many clips; with few it learns them by heart."""
    input_px: int = 0
    """Side of the square network input; 0 for 224, or the checkpoint's own."""
    augment: bool = True
    """Flip, change colours, resize and crop."""
    compare: tuple[str, ...] = ("consensus", "nano")
    """Shipped presets to score on the same clips; none with `--compare` alone."""
    seed: int = 0
    """Decides initial weights, order and augmentation."""
    threads: int = 2
    """CPU threads."""
    workers: int = 0
    """Processes that read clips."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""

    def __post_init__(self) -> None:
        require(self.steps >= 1, "steps", self.steps, "1 or more")
        require(self.batch >= 1, "batch", self.batch, "1 or more clips")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "more than 0")
        require(1 <= self.threads <= 256, "threads", self.threads, "1..256")


def plan(config: FinetuneConfig) -> TrainConfig:
    """Turn the request into the settings of a training run.

    Raises:
        DatasetError: the folder holds no S4 or MS3, or a split of it is empty.
        ConfigError: it holds both, or a setting is out of range.
        WeightsError: the checkpoint to start from is missing or damaged.
    """
    kind = _kind(Path(config.root))
    clips = {split: len(KINDS[kind][1](Path(config.root), split)) for split in ("train", "val", "test")}
    for split in ("train", "val"):
        if not clips[split]:
            raise ConfigError(
                f"{config.root} has no clip in split {split!r}",
                f"Put {split!r} in the column `split` of {KINDS[kind][0]} for some of the clips",
            )
    batch = min(config.batch, clips["train"])
    per_epoch = clips["train"] // batch
    epochs = -(-config.steps // per_epoch)
    steps = epochs * per_epoch
    base = _network(config, kind)
    return replace(
        base,
        out=config.out,
        epochs=epochs,
        batch=batch,
        frozen_image_epochs=0 if config.train_encoder else epochs,
        clip_gradient_norm=1.0,
        augment=config.augment,
        seed=config.seed,
        threads=config.threads,
        workers=config.workers,
        device=config.device,
        val_epochs=max(1, epochs // 10),
        test=clips["test"] > 0,
        tensorboard=False,
        init_from=config.start,
        schedule=ScheduleConfig(
            learning_rate=config.learning_rate, warmup_steps=round(steps * _WARMUP_SHARE), decay=Decay.COSINE
        ),
    )


def open_clips(settings: TrainConfig, split: str) -> ClipDataset:
    """Open one split of a run with the sound as the shipped presets hear it.

    Raises:
        DatasetError: the folder or its table is wrong.
    """
    reader = S4Dataset if settings.data.kind is DatasetKind.S4 else Ms3Dataset
    return reader(Path(settings.data.root), split, log_mel=LogMelFrom.NONE, waveform_hz=SAMPLE_RATE_HZ)


def score_preset(
    name: str,
    clips: ClipDataset,
    threads: int,
    size_px: int,
    advance: Callable[[int], None] = lambda count: None,
) -> BinaryScores:
    """Run a shipped preset over labelled clips as a stream of their frames; J and F of sounding or not.

    Args:
        name: of a preset.
        clips: read with their waveform, at the preset's rate.
        threads: for the network.
        size_px: side to score at.
        advance: called with the number of clips done.

    Raises:
        ConfigError: no such preset, or one that hears or sees otherwise than frame by frame.
    """
    model = load_model(ModelConfig(preset=name, threads=threads))
    metrics = BinaryMetrics()
    for index in range(len(clips)):
        clip = clips[index]
        probability = np.stack([_resized(p, size_px) for p in predict(model, clip)])
        truth = np.stack([_resized(m, size_px) for m in (clip.masks > 0).astype(np.float32)]) > 0.5
        metrics.update(probability[None], truth[None], (clip.mask_valid & clip.frame_valid)[None])
        advance(1)
    return metrics.compute()


def predict(model: AnyModel, clip: ClipSample) -> list[NDArray[np.float32]]:
    """Step a model of one frame per window through a clip; 1.0 where it says something sounds, [h, w] each.

    Raises:
        ConfigError: the model wants several frames, or another rate than the clip was read at.
    """
    if model.frames != 1 or model.sample_rate_hz != clip.sample_rate_hz:
        raise ConfigError(
            f"{model.id} cannot be compared on clips read at {clip.sample_rate_hz} Hz",
            "Choose --compare consensus nano",
        )
    rows, state, masks = clip.audio_context(model.context_s), model.initial_state(), []
    for k in range(len(clip)):
        window = one_frame(
            clip.frames[k], rows[k],
            time_s=float(clip.frame_times_s[k]), seq=k, sample_rate_hz=model.sample_rate_hz,
        )  # fmt: skip
        decision, state = model.step(window, state, Stages())
        masks.append((decision.mask > 0).astype(np.float32))
    return masks


def _kind(root: Path) -> DatasetKind:
    found = [kind for kind in _KINDS if str(kind) in kinds_in(root)]
    if len(found) != 1:
        raise ConfigError(
            f"{root} holds {' and '.join(found) or 'neither S4 nor MS3'}", "Give the folder of one S4 or MS3"
        )
    return found[0]


def _network(config: FinetuneConfig, kind: DatasetKind) -> TrainConfig:
    if not config.start:
        changes = {"model": {"input_px": config.input_px}} if config.input_px else {}
        return recipe(str(kind), root=config.root, network="nano", settings=changes)
    network = load_network(Path(config.start)).network.config
    if config.input_px:
        network = replace(network, input_px=config.input_px)
    name = architecture_of(network).name
    return recipe(str(kind), root=config.root, kind=name, settings={"model": asdict(network)})


def _resized(x: NDArray[np.float32], size_px: int) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(x, (size_px, size_px), interpolation=cv2.INTER_NEAREST), np.float32)
