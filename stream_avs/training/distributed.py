"""Several processes training one network, started by torchrun; or one process alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar, cast

import torch
from torch import Tensor
from torch import distributed as dist

from stream_avs.errors import ConfigError

T = TypeVar("T")

_TIMEOUT = timedelta(hours=2)  # one process scores the longest share of a data set while the others wait


@dataclass(frozen=True, kw_only=True)
class Group:
    """The processes of this run.

    Attributes:
        rank: number of this process, from 0.
        size: how many there are.
        device: what this process computes on.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """True for the one process that writes files and shows progress."""
        return self.rank == 0

    @property
    def several(self) -> bool:
        """True when there is anyone to talk to."""
        return self.size > 1

    def any(self, flag: bool) -> bool:
        """Whether any process says True; all must ask together."""
        if not self.several:
            return flag
        answer = torch.tensor(int(flag), device=self.device)
        dist.all_reduce(answer, op=dist.ReduceOp.MAX)
        return bool(answer)

    def total(self, value: Tensor) -> Tensor:
        """Sum of `value` over the processes; all must ask together."""
        if self.several:
            value = value.clone()
            dist.all_reduce(value)
        return value

    def gather(self, item: T) -> list[T]:
        """The items of all processes, by rank; all must ask together."""
        if not self.several:
            return [item]
        items: list[T | None] = [None] * self.size
        dist.all_gather_object(items, item)
        return cast(list[T], items)

    def wait(self) -> None:
        """Return when all processes are here."""
        if self.several:
            dist.barrier()


@contextmanager
def join(device: str) -> Iterator[Group]:
    """Join the processes that torchrun started, or be alone without it; leave at the end.

    Args:
        device: "auto" for CUDA where there is one, "cpu", "cuda" or "cuda:N".

    Raises:
        ConfigError: no such device.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    chosen = pick_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    group = Group(rank=rank, size=size, device=chosen)
    if not group.several:
        yield group
        return
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=_TIMEOUT)
    try:
        yield group
    finally:
        dist.destroy_process_group()


def pick_device(name: str, local_rank: int = 0) -> torch.device:
    """Turn the setting into a device; with several processes on a machine each takes its own GPU.

    Raises:
        ConfigError: not a device name, or no such device here.
    """
    gpus = torch.cuda.device_count()
    if name == "auto":
        name = "cuda" if gpus else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"setting device is {name!r}", "Expected auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"setting device is {name!r}", "Expected auto, cpu, cuda or cuda:N")
    if device.type == "cuda":
        index = local_rank if device.index is None else device.index
        if index >= gpus:
            raise ConfigError(
                f"device cuda:{index} does not exist; this machine has {gpus}", "Use --device cpu"
            )
        return torch.device("cuda", index)
    return device
