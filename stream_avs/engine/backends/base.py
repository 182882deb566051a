"""What a backend is: a step module and example inputs go in, a faster callable comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from stream_avs.config import Precision
from stream_avs.errors import StreamAvsError

FlatProgram = Callable[[list[Tensor]], list[Tensor]]
"""Takes and gives the leaves of a step's arguments and results, in pytree order.

Results are valid until the next call, and may be arguments of it.
"""


class BackendError(StreamAvsError):
    """A backend cannot build or run this step."""

    exit_code = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How to build.

    Attributes:
        precision: F32, BF16 or F16; never AUTO.
        threads: CPU threads.
        cache: folder for compiled artefacts, or None to keep none.
    """

    precision: Precision
    threads: int
    cache: Path | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """A step function: a module without state of its own, and arguments of the shapes it will get.

    Attributes:
        module: in evaluation mode, in float32, on the device it will run on.
        example: arguments as pytrees of tensors; real values, since they serve as the fixed input of
            the check against eager.
        name: what it does, for people.
        decide: what its results come to, whole numbers; None where there is nothing to decide.
    """

    module: nn.Module
    example: tuple[object, ...]
    name: str = "network"
    decide: Callable[[list[Tensor]], Tensor] | None = None

    @property
    def device(self) -> torch.device:
        """Where the step runs."""
        leaves, _ = tree_flatten(self.example)
        return next(x.device for x in leaves if isinstance(x, Tensor))

    def run(self) -> object:
        """Results of the module itself for the example."""
        with torch.inference_mode():
            return self.module(*self.example)


class Backend(Protocol):
    """One way to run steps.

    Attributes:
        name: as in the configuration.
    """

    @property
    def name(self) -> str: ...

    def obstacle(self, step: Step) -> StreamAvsError | None:
        """Why this backend cannot run here, or None."""

    def precision(self, asked: Precision) -> Precision:
        """What AUTO means here; anything else is returned as it came."""

    def build(self, step: Step, settings: Settings) -> FlatProgram:
        """Compile.

        Raises:
            Exception: whatever the library behind it raises; `prepare` turns it into a reason.
        """


class Program:
    """A built step, called with the same pytrees as the module."""

    def __init__(self, run: FlatProgram, arguments: TreeSpec, results: TreeSpec) -> None:
        self._run = run
        self._arguments = arguments
        self._results = results

    def __call__(self, *arguments: object) -> object:
        """Run one step; see `FlatProgram` for how long results are valid."""
        leaves, structure = tree_flatten(arguments)
        if structure != self._arguments:
            raise ValueError(f"arguments are {structure}, expected {self._arguments}")
        return tree_unflatten(self._run(leaves), self._results)
