"""Which clips each step sees: a pure function of seed, epoch and step, so a run can stop anywhere.

The order does not depend on the number of processes: on two GPUs each step sees the same clips as
on one, half of them on each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_avs.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Share:
    """The clips of one optimiser step that one process sees, cut into micro-batches.

    Attributes:
        epoch: from 0.
        step: running number of the step, from 0, over all epochs.
        micro_batches: clip indices of each forward and backward pass.
    """

    epoch: int
    step: int
    micro_batches: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Order:
    """The data order of a run.

    Attributes:
        clips: length of the data set.
        batch: clips per optimiser step, over all processes.
        accumulation: micro-batches into which each process cuts its share.
        epochs: passes over the data set.
        seed: decides the shuffles.

    Raises:
        ConfigError: the data set is smaller than a batch.
    """

    clips: int
    batch: int
    accumulation: int
    epochs: int
    seed: int

    def __post_init__(self) -> None:
        if self.clips < self.batch:
            raise ConfigError(
                f"the training split has {self.clips} clips, fewer than one batch of {self.batch}",
                "Lower --batch, or check the data set's root",
            )

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches; the clips left over are others in each epoch."""
        return self.clips // self.batch

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.steps_per_epoch * self.epochs

    def permutation(self, epoch: int) -> NDArray[np.int64]:
        """The shuffled clip indices of one epoch."""
        return np.random.default_rng((self.seed, epoch)).permutation(self.clips)

    def shares(self, first_step: int, *, rank: int = 0, processes: int = 1) -> Iterator[Share]:
        """Yield what process `rank` of `processes` sees in each step from `first_step` on.

        Raises:
            ConfigError: the batch cannot be divided evenly.
        """
        pieces = self.accumulation * processes
        if self.batch % pieces:
            raise ConfigError(
                f"batch {self.batch} cannot be divided into {self.accumulation} micro-batches on each of "
                f"{processes} processes",
                f"Make --batch a multiple of {pieces}",
            )
        for epoch in range(first_step // self.steps_per_epoch, self.epochs):
            order = self.permutation(epoch)
            start = first_step % self.steps_per_epoch if epoch == first_step // self.steps_per_epoch else 0
            for k in range(start, self.steps_per_epoch):
                clips = order[k * self.batch : (k + 1) * self.batch]
                mine = clips[rank::processes].reshape(self.accumulation, -1)
                yield Share(
                    epoch=epoch,
                    step=epoch * self.steps_per_epoch + k,
                    micro_batches=tuple(tuple(int(i) for i in row) for row in mine),
                )
