"""OpenVINO on the CPU; no copies between torch and OpenVINO.

OpenVINO's `convert_model` reports each conversion to Google Analytics, from a pool of threads that live as
long as the process, and leaves an id in ~/intel. What a camera sees is nobody else's affair, nor is when it
starts: importing this module keeps OpenVINO, in this process, from finding the package that does so.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stream_avs.config import Precision
from stream_avs.engine.backends.artefacts import artefact
from stream_avs.engine.backends.base import FlatProgram, Settings, Step
from stream_avs.engine.backends.eager import cpu_has_bf16
from stream_avs.engine.backends.export import FlatModule
from stream_avs.errors import ConfigError, StreamAvsError, missing_package

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: as if not installed

_MAKING_CORE = threading.Lock()
_HINTS = {Precision.F32: "f32", Precision.BF16: "bf16", Precision.F16: "f16"}


class OpenVino:
    """See `Backend`."""

    name = "openvino"

    def obstacle(self, step: Step) -> StreamAvsError | None:
        if importlib.util.find_spec("openvino") is None:
            return missing_package("openvino", "openvino")
        if step.device.type != "cpu":
            return ConfigError(f"backend openvino runs on the CPU, not on {step.device}", "Use cuda")
        return None

    def precision(self, asked: Precision) -> Precision:
        if asked is not Precision.AUTO:
            return asked
        return Precision.BF16 if cpu_has_bf16() else Precision.F32

    def build(self, step: Step, settings: Settings) -> FlatProgram:
        import openvino as ov

        with _MAKING_CORE:
            core = _core()
        options = {}
        if settings.cache is None:
            model = _convert(step)
        else:
            version = ov.__version__.split("-")[0]
            path = artefact(settings.cache, step, f"openvino-{version}", lambda folder: _save(step, folder))
            model = core.read_model(path / "step.xml")
            # What it compiles to lies beside it, apart by precision: OpenVINO's own names leave that out, and
            # a network compiled for float32 but run as bfloat16 gives NaN.
            options["CACHE_DIR"] = str(path / settings.precision.value)
        compiled = core.compile_model(model, "CPU", {
            **options,
            "INFERENCE_PRECISION_HINT": _HINTS[settings.precision],
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": settings.threads,
            # pinned threads stand still whenever another process runs on their core
            "ENABLE_CPU_PINNING": False,
        })  # fmt: skip
        # Two requests take turns, so that the results of one call may be arguments of the next.
        requests = itertools.cycle([compiled.create_infer_request() for _ in range(2)])

        def run(leaves: list[Tensor]) -> list[Tensor]:
            request = next(requests)
            held = [leaf.contiguous() for leaf in leaves]  # OpenVINO reads their memory until it is done
            for place, leaf in enumerate(held):
                request.set_input_tensor(place, ov.Tensor(leaf.numpy(), shared_memory=True))
            request.infer()
            return [torch.from_numpy(request.get_output_tensor(i).data) for i in range(len(compiled.outputs))]

        return run


@functools.cache
def _core() -> Any:
    """OpenVINO's core: one, kept as long as the process.

    On AVX-512 machines the CPU plugin of each core gives the thread that makes it a stack for signal
    handlers, and unmaps it when the core goes. Of several cores, the last to go puts back the stack of one
    that has gone before: the next signal, SIGTERM too, then ends the process with a segmentation fault.
    """
    import openvino as ov

    return ov.Core()


def _save(step: Step, folder: Path) -> None:
    import openvino as ov

    ov.save_model(_convert(step), folder / "step.xml", compress_to_fp16=False)


def _convert(step: Step) -> Any:
    """Let OpenVINO follow the step once on its example: half the time of `torch.export`, same result."""
    import openvino as ov

    leaves = FlatModule.leaves(step)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that shapes are fixed; they are meant to be
        model = ov.convert_model(
            FlatModule.of(step), example_input=tuple(leaves), input=[list(x.shape) for x in leaves]
        )
    if len(model.inputs) != len(leaves):
        raise ValueError(f"the step has {len(leaves)} inputs, OpenVINO kept {len(model.inputs)}")
    return model
