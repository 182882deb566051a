"""PyTorch on a GPU: autocast, and the whole step recorded as one CUDA graph."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from stream_avs.config import Precision
from stream_avs.engine.backends.base import FlatProgram, Settings, Step
from stream_avs.engine.backends.eager import DTYPES
from stream_avs.errors import ConfigError, StreamAvsError

_WARM_UP_STEPS = 3  # what the recorder asks for, so that libraries have chosen their algorithms


class Cuda:
    """See `Backend`."""

    name = "cuda"

    def obstacle(self, step: Step) -> StreamAvsError | None:
        return cuda_obstacle(step)

    def precision(self, asked: Precision) -> Precision:
        if asked is not Precision.AUTO:
            return asked
        return Precision.BF16 if torch.cuda.is_bf16_supported() else Precision.F16

    def build(self, step: Step, settings: Settings) -> FlatProgram:
        leaves, structure = tree_flatten(step.example)
        static = [x.clone() for x in leaves]
        dtype = DTYPES[settings.precision]

        def forward() -> list[Tensor]:
            mixed = torch.autocast("cuda", dtype=dtype, enabled=settings.precision is not Precision.F32)
            with torch.inference_mode(), mixed:
                results = tree_flatten(step.module(*tree_unflatten(static, structure)))[0]
                return [x.float() if x.is_floating_point() else x for x in results]

        side = torch.cuda.Stream(step.device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream(step.device))
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP_STEPS):
                forward()
        torch.cuda.current_stream(step.device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            results = forward()

        def run(leaves: list[Tensor]) -> list[Tensor]:
            with torch.inference_mode():
                for fixed, given in zip(static, leaves, strict=True):
                    fixed.copy_(given, non_blocking=True)
            graph.replay()  # on the current stream; nothing waits for it here
            return results

        return run


def cuda_obstacle(step: Step) -> StreamAvsError | None:
    """Why a step cannot run on a GPU here, or None."""
    if not torch.cuda.is_available():
        return ConfigError("no CUDA device was found", "Use --model.backend auto, or install CUDA torch")
    if step.device.type != "cuda":
        return ConfigError(f"the step lies on {step.device}", "Move the network to cuda first")
    return None
