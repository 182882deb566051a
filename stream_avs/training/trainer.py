"""A training run from the first step, or the one it was stopped at, to the last."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from stream_avs.datasets.sample import ClipDataset
from stream_avs.errors import ConfigError
from stream_avs.models import architectures
from stream_avs.models.checkpoint import fill_network, load_network, save_network
from stream_avs.models.load import read_weights
from stream_avs.models.network import Network
from stream_avs.models.pretrained import load_encoders
from stream_avs.training import random_state
from stream_avs.training.batch import Batch, Collate
from stream_avs.training.config import TrainConfig, shareable
from stream_avs.training.curves import Curves
from stream_avs.training.data import (
    TrainingClips,
    check_classes,
    check_frames,
    count_taught,
    labels_of,
    open_split,
    training_batches,
)
from stream_avs.training.distributed import Group
from stream_avs.training.files import write_whole
from stream_avs.training.history import History
from stream_avs.training.objective import Objective
from stream_avs.training.order import Order
from stream_avs.training.parts import enter_epoch, trained
from stream_avs.training.progress_view import ProgressView
from stream_avs.training.run_folder import RunFolder
from stream_avs.training.schedule import learning_rate
from stream_avs.training.scoring import Protocol, Scored, score
from stream_avs.training.state import Progress, TrainingState, save_state
from stream_avs.training.step import Stepper
from stream_avs.training.stop import StopRequest


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended.

    Attributes:
        progress: how far it is.
        finished: False if it was stopped before its last step.
    """

    progress: Progress
    finished: bool


class Trainer:
    """One run on one of its processes.

    Args:
        config: all settings.
        group: the processes of the run.
        view: where progress is shown.
        state: to go on from; None to begin.

    Raises:
        ConfigError: settings do not fit one another or the data set.
        DatasetError: the data set is missing or wrong.
        WeightsError: published weights, `init_from` or the state are missing or do not fit.
    """

    def __init__(
        self, config: TrainConfig, group: Group, view: ProgressView, state: TrainingState | None = None
    ) -> None:
        self.config = config
        self.folder = RunFolder(path=Path(config.out))
        self._group, self._view = group, view
        random_state.seed_all(config.seed)
        self.network = _build(config, fresh=state is None)
        self.clips = self.open_split("train")
        self.val = self.open_split("val")
        check_classes(config.model, self.clips)
        count_taught(config.model, self.clips)
        check_frames(self.clips[0], config.model, config.clip_frames)
        self.labels = labels_of(self.clips, config.model)
        self.order = Order(
            clips=len(self.clips), batch=config.batch, accumulation=config.accumulation,
            epochs=config.epochs, seed=config.seed,
        )  # fmt: skip
        self.network.to(group.device)
        self.parameters = trained(self.network, config)
        self.optimizer = torch.optim.AdamW(
            self.parameters.values(), lr=config.schedule.learning_rate, weight_decay=config.weight_decay
        )
        self.progress = Progress()
        if state is not None:
            state.apply(self.network, self.optimizer, self.parameters)
            self.progress = state.progress
        random_state.seed_all(config.seed + 1 + group.rank)
        if state is not None and (stored := state.random(group.rank)) is not None:
            random_state.restore(stored)
        self._stepper = Stepper(
            Objective(self.network, config.loss, config.unroll), self.optimizer, self.parameters, group,
            precision=config.precision, clip_norm=config.clip_gradient_norm,
        )  # fmt: skip
        self._epoch = -1
        self._note = ""
        self._saved: Progress | None = None

    @property
    def last_step(self) -> int:
        """Number of steps after which the run is over."""
        steps = self.order.steps
        return min(steps, self.config.max_steps) if self.config.max_steps else steps

    def open_split(self, split: str) -> ClipDataset:
        """Open one split of the run's data set."""
        config = self.config
        return open_split(config.data, split, config.model, self.network.audio_input, config.clip_frames)

    def run(self, stop: StopRequest) -> Outcome:
        """Train until the last step or until `stop` is asked for; a training state is left either way."""
        leads, done = self._group.leads, self.progress.step
        with (
            History(self.folder.log, done, enabled=leads) as history,
            Curves(self.folder.curves, done, enabled=leads and self.config.tensorboard) as curves,
            closing(self._batches()) as batches,
        ):
            task = self._view.task("train", self.last_step, done)
            while True:
                if self._group.any(bool(stop)):
                    break
                if self._scoring_is_due():
                    self._save()  # scoring takes a while, and a kill must not cost the epoch
                    self._score(history, curves)
                    self._save()
                if self.progress.step >= self.last_step:
                    break
                self._take_step(batches, history, curves)
                task.advance(note=self._note)
                if self.progress.step % self.config.checkpoint_steps == 0:
                    self._save()
            task.end()
            self._save()
        return Outcome(progress=self.progress, finished=self.progress.step >= self.last_step and not stop)

    def _take_step(self, batches: Iterator[Batch], history: History, curves: Curves) -> None:
        step, config = self.progress.step, self.config
        epoch = step // self.order.steps_per_epoch
        if epoch != self._epoch:
            if enter_epoch(self.network, config, epoch) or self._epoch < 0:
                self._stepper.rewire()
            self._epoch = epoch
        rate = learning_rate(config.schedule, step, self.order.steps)
        terms = self._stepper.take([next(batches) for _ in range(config.accumulation)], rate)
        self.progress = replace(self.progress, step=step + 1)
        values = {**terms, "learning_rate": rate, "epoch": (step + 1) / self.order.steps_per_epoch}
        history.add(step + 1, **values)
        curves.scalars("train", values, step + 1)
        best = f"  best J {self.progress.best_j:.3f}" if self.progress.best_j >= 0 else ""
        self._note = f"epoch {epoch + 1}/{config.epochs}  loss {terms['loss']:.4f}  lr {rate:.1e}{best}"

    def _scoring_is_due(self) -> bool:
        """At the end of every `val_epochs`-th epoch and of the run, unless just done."""
        step = self.progress.step
        if step == self.progress.scored_step:
            return False
        epoch, rest = divmod(step, self.order.steps_per_epoch)
        return step >= self.last_step or (rest == 0 and epoch % self.config.val_epochs == 0)

    def _score(self, history: History, curves: Curves) -> None:
        """Score val, and keep the network if it is the best so far."""
        scored = self.score(self.val, "val", f"step {self.progress.step}")
        step = self.progress.step
        history.add(step, val_j=scored.j, val_f=scored.f)
        curves.scalars("val", {"J": scored.j, "F": scored.f}, step)
        curves.overlays("val", scored.examples, step)
        better = scored.j > self.progress.best_j
        self.progress = replace(self.progress, scored_step=step)
        if better:
            self.progress = replace(self.progress, best_j=scored.j, best_step=step)
            if self._group.leads:
                self._save_best(scored)
        self._view.say(f"step {step}: val J {scored.j:.4f}  F {scored.f:.4f}{'  best so far' * better}")

    def score(self, clips: ClipDataset, split: str, model: str) -> Scored:
        """Score the network as it is on a split."""
        protocol = Protocol(
            dataset=str(self.config.data.kind), split=split, model=model, workers=self.config.workers,
            precision=self.config.precision, examples=self.config.pictures,
        )  # fmt: skip
        task = self._view.task(split, len(clips))
        scored = score(self.network, clips, protocol, self._group, task.advance)
        task.end()
        return scored

    def load_best(self) -> None:
        """Go back to the best network, on every process."""
        self._group.wait()
        best = load_network(self.folder.best)
        self.network.load_state_dict(best.network.state_dict())

    def _batches(self) -> Generator[Batch, None, None]:
        config, group = self.config, self._group
        shares = self.order.shares(self.progress.step, rank=group.rank, processes=group.size)
        change = replace(config.augmentation, size_px=config.model.input_px) if config.augment else None
        clips = TrainingClips(self.clips, change, config.seed)
        collate = Collate(
            size_px=config.model.input_px,
            audio=self.network.audio_input,
            binary=config.model.classes == 1,
            named=count_taught(config.model, self.clips),
        )
        pin = group.device.type == "cuda"
        return training_batches(clips, collate, shares, workers=config.workers, pin=pin)

    def _save(self) -> None:
        """Leave a training state to resume from, unless that of this step is there."""
        if self._saved == self.progress:
            return
        self._saved = self.progress
        states = self._group.gather(random_state.capture())
        if self._group.leads:
            save_state(
                self.folder.last, self.network, self.optimizer, self.parameters, states, self.config,
                self.progress, self.labels,
            )  # fmt: skip
        self._group.wait()

    def _save_best(self, scored: Scored) -> None:
        about = {
            "data": str(self.config.data.kind), "step": self.progress.step, "val_j": scored.j,
            "val_f": scored.f, "training": shareable(self.config),
        }  # fmt: skip

        def write(path: Path) -> None:
            save_network(path, self.network, self.labels, about)

        try:
            write_whole(self.folder.best, write)
        except OSError as error:
            raise ConfigError(f"cannot write {self.folder.best}: {error}", "Free some space") from None


def _build(config: TrainConfig, *, fresh: bool) -> Network:
    """The network at the start of the run; a resumed one is filled from its state instead."""
    network = architectures.build(config.model)
    if fresh:
        network.begin()
    if fresh and config.init_from:
        path = Path(config.init_from)
        fill_network(network, read_weights(path), path)
    elif fresh and config.pretrained:
        load_encoders(network, Path(config.weights_dir) if config.weights_dir else None)
    return network
