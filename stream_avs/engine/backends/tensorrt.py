"""TensorRT through torch-tensorrt, from the exported step."""

from __future__ import annotations

import torch
from torch import Tensor

from stream_avs.config import Precision
from stream_avs.engine.backends.artefacts import artefact
from stream_avs.engine.backends.base import FlatProgram, Settings, Step
from stream_avs.engine.backends.cuda import cuda_obstacle
from stream_avs.engine.backends.eager import DTYPES
from stream_avs.engine.backends.export import FlatModule, export_flat
from stream_avs.errors import MissingPackageError, StreamAvsError

_FILE = "step.ep"


class TensorRt:
    """See `Backend`."""

    name = "tensorrt"

    def obstacle(self, step: Step) -> StreamAvsError | None:
        if (obstacle := cuda_obstacle(step)) is not None:
            return obstacle
        try:
            import torch_tensorrt  # noqa: F401
        except Exception as error:  # without TensorRT's libraries the import raises a bare Exception
            return MissingPackageError(
                f"torch-tensorrt cannot be loaded: {error}",
                "Install torch-tensorrt and TensorRT from their own index, or use --model.backend cuda",
            )
        return None

    def precision(self, asked: Precision) -> Precision:
        return Precision.F16 if asked is Precision.AUTO else asked

    def build(self, step: Step, settings: Settings) -> FlatProgram:
        import torch_tensorrt

        leaves = FlatModule.leaves(step)

        def compiled() -> torch.nn.Module:
            module: torch.nn.Module = torch_tensorrt.dynamo.compile(
                export_flat(step),
                inputs=leaves,
                use_explicit_typing=False,
                enabled_precisions={torch.float32, DTYPES[settings.precision]},
                # half of a step in TensorRT costs more than it brings
                require_full_compilation=False,
            )
            return module

        if settings.cache is None:
            module = compiled()
        else:
            device = torch.cuda.get_device_name(step.device).replace(" ", "_")
            recipe = f"tensorrt-{torch_tensorrt.__version__}-{settings.precision}-{device}"
            path = artefact(
                settings.cache, step, recipe,
                lambda folder: torch_tensorrt.save(compiled(), str(folder / _FILE), arg_inputs=leaves),
            )  # fmt: skip
            module = torch_tensorrt.load(str(path / _FILE)).module()

        def run(given: list[Tensor]) -> list[Tensor]:
            with torch.inference_mode():
                results = module(*given)
            return list(results) if isinstance(results, (list, tuple)) else [results]

        return run
