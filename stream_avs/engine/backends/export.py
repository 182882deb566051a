"""The step as a `torch.export` program with flat tensors in and out: what every compiler takes."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from stream_avs.engine.backends.base import Step
from stream_avs.errors import missing_package


class FlatModule(nn.Module):
    """A step whose arguments and results are the leaves of the pytrees."""

    def __init__(self, module: nn.Module, structure: TreeSpec) -> None:
        super().__init__()
        self.module = module
        self._structure = structure

    def forward(self, *leaves: Tensor) -> tuple[Tensor, ...]:
        """Leaves of the arguments in, leaves of the results out."""
        results = tree_flatten(self.module(*tree_unflatten(list(leaves), self._structure)))[0]
        # a result that is an argument handed through would be optimised away
        return tuple(x.clone() if any(x is leaf for leaf in leaves) else x for x in results)

    @classmethod
    def of(cls, step: Step) -> FlatModule:
        """Wrap a step."""
        return cls(step.module, tree_flatten(step.example)[1]).eval()

    @staticmethod
    def leaves(step: Step) -> list[Tensor]:
        """The example, flat."""
        return list(tree_flatten(step.example)[0])


def export_flat(step: Step) -> ExportedProgram:
    """Export with the shapes of the example.

    Raises:
        Exception: the module does something `torch.export` cannot follow.
    """
    with torch.no_grad():
        return torch.export.export(FlatModule.of(step), tuple(FlatModule.leaves(step)), strict=False)


def export_onnx(step: Step, path: Path) -> None:
    """Write the step as an ONNX file; inputs `in_0`, `in_1`, ..., outputs `out_0`, `out_1`, ...

    Raises:
        MissingPackageError: onnx or onnxscript is not installed.
    """
    try:
        import onnxscript  # noqa: F401
    except ImportError:
        raise missing_package("onnxscript", "onnx") from None
    leaves = FlatModule.leaves(step)
    outputs = len(tree_flatten(step.module(*step.example))[0])
    torch.onnx.export(
        FlatModule.of(step),
        tuple(leaves),
        str(path),
        dynamo=True,
        opset_version=20,  # the first with GridSample as deformable attention needs it
        input_names=[f"in_{i}" for i in range(len(leaves))],
        output_names=[f"out_{i}" for i in range(outputs)],
        external_data=False,
        verbose=False,
    )
