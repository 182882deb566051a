"""PyTorch itself: bfloat16 weights where the CPU computes in them, convolutions in channels-last order."""

from __future__ import annotations

import copy

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from stream_avs.config import Precision
from stream_avs.engine.backends.base import FlatProgram, Settings, Step
from stream_avs.errors import StreamAvsError

DTYPES = {Precision.F32: torch.float32, Precision.BF16: torch.bfloat16, Precision.F16: torch.float16}


class Eager:
    """See `Backend`. Takes any shapes, not only those of the example."""

    name = "eager"

    def obstacle(self, step: Step) -> StreamAvsError | None:
        return None

    def precision(self, asked: Precision) -> Precision:
        if asked is not Precision.AUTO:
            return asked
        return Precision.BF16 if cpu_has_bf16() else Precision.F32

    def build(self, step: Step, settings: Settings) -> FlatProgram:
        dtype = DTYPES[settings.precision]
        # weights are copied only where they change; a step in float32 shares those of the network
        module = step.module if dtype is torch.float32 else copy.deepcopy(step.module).to(dtype)
        module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        structure = tree_flatten(step.example)[1]

        def run(leaves: list[Tensor]) -> list[Tensor]:
            with torch.inference_mode():
                arguments = tree_unflatten([_floats_to(x, dtype) for x in leaves], structure)
                results = tree_flatten(module(*arguments))[0]
                return [_floats_to(x, torch.float32) for x in results]

        return run


def cpu_has_bf16() -> bool:
    """True if this CPU multiplies bfloat16 in hardware; on others it is slower than float32."""
    has = torch.cpu.get_capabilities()
    return bool(has.get("avx512_bf16") or has.get("amx_bf16") or has.get("bf16"))


def _floats_to(x: Tensor, dtype: torch.dtype) -> Tensor:
    return x.to(dtype) if x.is_floating_point() else x
