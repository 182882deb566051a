"""One optimiser step: forward and backward over its micro-batches, on one process or several."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from stream_avs.errors import StepError
from stream_avs.training.batch import Batch
from stream_avs.training.config import Precision
from stream_avs.training.distributed import Group
from stream_avs.training.objective import TERMS, Objective, Shares
from stream_avs.training.scoring import arithmetic


class Stepper:
    """Takes optimiser steps.

    Args:
        objective: network and loss, on the group's device.
        optimizer: holds `parameters`.
        parameters: those that train at some time, by name.
        group: the processes.
        precision: arithmetic of the forward pass.
        clip_norm: scale gradients down to this norm; 0 for never.
    """

    def __init__(
        self,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        parameters: Mapping[str, nn.Parameter],
        group: Group,
        *,
        precision: Precision = Precision.FP32,
        clip_norm: float = 0.0,
    ) -> None:
        self._objective = objective
        self._optimizer = optimizer
        self._parameters = parameters
        self._group = group
        self._precision = precision
        self._clip_norm = clip_norm
        self._parallel: nn.Module = objective

    def rewire(self) -> None:
        """Take note of which parameters train now; call before the first step and after each change."""
        for parameter in self._parameters.values():
            if not parameter.requires_grad:
                parameter.grad = None
        if self._group.several:
            # What takes part differs with switches and reset states, so unused parameters are looked for.
            self._parallel = DistributedDataParallel(
                self._objective, find_unused_parameters=True, broadcast_buffers=False
            )

    def take(self, micro_batches: Sequence[Batch], learning_rate: float) -> dict[str, float]:
        """Learn from one step's micro-batches.

        Returns:
            The terms of the loss as means over the whole step, and the gradient's norm before clipping
            (`gradient_norm`), over all processes.

        Raises:
            StepError: loss or gradient is not finite; the network is as before the step.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        terms = torch.zeros(len(TERMS), device=self._group.device)
        for last, batch, shares in _with_shares(micro_batches, self._group):
            with self._gradients_of(last):
                with arithmetic(self._precision, self._group.device):
                    part, reported = self._parallel(batch.to(self._group.device), shares)
                # shares are of the whole step, and gradients are averaged over the processes
                (part * self._group.size).backward()
            terms += reported
        values = dict(zip(TERMS, self._group.total(terms).tolist(), strict=True))
        gradients = [p.grad for p in self._parameters.values() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if not (math.isfinite(values["loss"]) and bool(norm.isfinite())):
            raise StepError(
                f"the loss is {values['loss']}, its gradient's norm {float(norm)}",
                "Lower --schedule.learning-rate, set --clip-gradient-norm 1, or use --precision fp32",
            )
        if self._clip_norm:
            torch.nn.utils.clip_grads_with_norm_(self._parameters.values(), self._clip_norm, norm)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return {**values, "gradient_norm": float(norm)}

    def _gradients_of(self, last: bool) -> AbstractContextManager[object]:
        """Gradients travel between processes once a step, with the last micro-batch."""
        if isinstance(self._parallel, DistributedDataParallel) and not last:
            return self._parallel.no_sync()
        return nullcontext()


def _with_shares(batches: Sequence[Batch], group: Group) -> Iterator[tuple[bool, Batch, Shares]]:
    """Each micro-batch with whether it is the last, and its share of the step's frames."""
    counts = torch.stack([_frames(batch) for batch in batches])
    whole = group.total(counts.sum(0).to(group.device)).clamp(min=1).tolist()
    for k, (batch, own) in enumerate(zip(batches, counts.tolist(), strict=True)):
        yield k == len(batches) - 1, batch, Shares(labelled=own[0] / whole[0], valid=own[1] / whole[1])


def _frames(batch: Batch) -> Tensor:
    """Labelled and valid frames, [2]."""
    return torch.stack([(batch.labelled & batch.valid).sum(), batch.valid.sum()])
