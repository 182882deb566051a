"""At what scale everything is compared: the same scenes, encoders, steps and optimiser for all."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from stream_avs.benchmarks.compare.entries import Entry
from stream_avs.config import require
from stream_avs.datasets.scenes import SceneConfig
from stream_avs.training.config import ScenesConfig, TrainConfig, recipe

RECIPE = "scenes-tiny"
"""Gives encoders, optimiser and what a scene looks like."""
SIMILARITY = "similarity.npy"
"""In the folder of a run that needs one."""
MASK_LOSS = {"dice": 1.0, "cross_entropy": 1.0}
"""How everybody's masks are supervised; each network adds its own further terms (BCL, matching, synchrony,
classes). The papers differ here, which would be compared instead of the networks."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What results must share to be comparable."""

    epochs: int = 4
    """Passes over the training split; each shows new scenes."""
    train_clips: int = 320
    """Clips of an epoch."""
    batch: int = 8
    """Clips per step."""
    learning_rate: float = 1e-3
    """After the warm-up; falls to zero along a cosine."""
    input_px: int = 32
    """Side of the picture."""
    frames: int = 3
    """Frames of a clip and of a window."""
    val_clips: int = 32
    """Clips that choose the checkpoint."""
    test_clips: int = 100
    """Clips with a visible source that J and F are taken from."""
    quiet_clips: int = 50
    """Silent clips, and as many with a sound from off screen."""
    streams: int = 5
    """Streams whose sound changes again and again."""
    stream_s: float = 20.0
    """Length of each."""

    def __post_init__(self) -> None:
        for name in ("epochs", "train_clips", "batch", "val_clips", "test_clips", "quiet_clips", "streams"):
            require(getattr(self, name) >= 1, f"scale.{name}", getattr(self, name), "1 or more")
        require(self.batch <= self.train_clips, "scale.batch", self.batch, "at most scale.train_clips")
        require(self.learning_rate > 0, "scale.learning_rate", self.learning_rate, "above 0")
        require(
            self.input_px >= 32 and self.input_px % 16 == 0,
            "scale.input_px",
            self.input_px,
            "a multiple of 16",
        )
        require(1 <= self.frames <= 16, "scale.frames", self.frames, "1..16")
        require(2 <= self.stream_s <= 600, "scale.stream_s", self.stream_s, "2..600 s")

    @property
    def steps(self) -> int:
        """Optimiser steps of a run."""
        return self.epochs * (self.train_clips // self.batch)

    def scenes(self, **events: float) -> ScenesConfig:
        """Two look-alikes of which one sounds; sometimes nothing does, something unseen, or the sound moves.

        Args:
            events: probabilities that differ from training's.
        """
        base = recipe(RECIPE).data.scenes
        look: dict[str, Any] = {"p_silence": 0.1, "p_off_screen": 0.1, "p_switch": 0.25, **events}
        scene: SceneConfig = replace(base.scene, frames=self.frames, size_px=self.input_px, **look)
        return replace(
            base,
            scene=scene,
            train_clips=self.train_clips,
            val_clips=self.val_clips,
            test_clips=self.test_clips,
        )


def train_config(scale: Scale, chosen: Entry, seed: int, folder: Path) -> TrainConfig:
    """The run that trains `chosen` at `scale`.

    Seed decides initial weights and data order, and is also that of the scenes: the k-th run of every
    entry sees the same clips in the same order.
    """
    scenes = replace(scale.scenes(), seed=seed)
    warmup = min(30, scale.steps // 5)
    measured = {"similarity": str(folder / SIMILARITY)} if chosen.measured else {}
    settings: dict[str, Any] = {
        "out": str(folder),
        "data": {"scenes": asdict(scenes)},
        "model": {"input_px": scale.input_px, "frames": scale.frames, **chosen.model, **measured},
        "loss": {**MASK_LOSS, **chosen.loss},
        "epochs": scale.epochs,
        "batch": scale.batch,
        "seed": seed,
        "schedule": {"learning_rate": scale.learning_rate, "warmup_steps": warmup},
        "test": False,
        "tensorboard": False,
        "pictures": 0,
    }
    return recipe(RECIPE, kind=chosen.architecture, settings=settings)
