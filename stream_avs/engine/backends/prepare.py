"""Choose a backend, build the step, check it against eager, fall back with a reason.

Every backend runs the fixed input of the step at start-up and is refused if its results are not
those of PyTorch in float32: a compiler's mistake is found before the first frame, not in the masks.
Half precision may move numbers further than it may move what is decided by them, so both are checked.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from torch.utils._pytree import tree_flatten

from stream_avs.config import BackendName, Precision
from stream_avs.engine.backends.base import Backend, BackendError, Program, Settings, Step
from stream_avs.engine.backends.cache import DEFAULT_CACHE
from stream_avs.engine.backends.cuda import Cuda
from stream_avs.engine.backends.eager import Eager
from stream_avs.engine.backends.openvino import OpenVino
from stream_avs.engine.backends.tensorrt import TensorRt

BACKENDS: dict[BackendName, Backend] = {
    BackendName.EAGER: Eager(),
    BackendName.OPENVINO: OpenVino(),
    BackendName.CUDA: Cuda(),
    BackendName.TENSORRT: TensorRt(),
}
_AUTO = {
    "cpu": (BackendName.OPENVINO, BackendName.EAGER),
    "cuda": (BackendName.TENSORRT, BackendName.CUDA, BackendName.EAGER),
}
TOLERANCE = {Precision.F32: 1e-3, Precision.BF16: 0.1, Precision.F16: 0.05}
"""Largest difference allowed: RMS of the difference over RMS of the float32 result, worst output."""

AGREEMENT = 0.97
"""Least share of decisions that must be those of float32. Nano's eye in bfloat16 keeps 99 % of the cells
of a blurred noise picture and 99.96 % of a real one, and the masks of the bundled clip (mean J 0.9996)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """A backend that was not taken, and why."""

    backend: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What was chosen.

    Attributes:
        backend: the one that runs.
        precision: what it computes in.
        difference: from eager float32 on the fixed input; see `TOLERANCE`.
        build_s: seconds to build and check it.
        refused: those tried before.
    """

    backend: str
    precision: Precision
    difference: float
    build_s: float
    refused: tuple[Refusal, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines for people: what runs, and what does not."""
        chosen = (
            f"backend {self.backend} in {self.precision}, differs from eager f32 by {self.difference:.1e}"
        )
        return (chosen, *(f"not {r.backend}: {r.reason}" for r in self.refused))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Prepared:
    """A step that is ready to run.

    Attributes:
        program: called like the module.
        report: what was chosen, and why.
    """

    program: Program
    report: Report


def prepare(
    step: Step,
    *,
    backend: BackendName = BackendName.AUTO,
    precision: Precision = Precision.AUTO,
    threads: int = 2,
    cache: Path | None = DEFAULT_CACHE,
) -> Prepared:
    """Make a step fast.

    Args:
        step: module and example arguments.
        backend: AUTO takes the fastest that runs and agrees. A backend asked for by name that
            fails or disagrees is replaced by eager, which the report says.
        precision: AUTO takes half precision where the hardware has it.
        threads: CPU threads.
        cache: where compiled artefacts are kept; None keeps none.

    Raises:
        StreamAvsError: the backend asked for by name cannot run on this machine.
        BackendError: not even eager agrees with itself: the step gives NaN, or its fixed input does
            not suit the precision.
    """
    if backend is BackendName.AUTO:
        candidates = _AUTO.get(step.device.type, (BackendName.EAGER,))
    else:
        if (obstacle := BACKENDS[backend].obstacle(step)) is not None:
            raise obstacle
        candidates = tuple(dict.fromkeys((backend, BackendName.EAGER)))
    leaves, arguments = tree_flatten(step.example)
    expected, results = tree_flatten(step.run())
    expected = [x.clone() for x in expected]  # some may be arguments handed through
    refused: list[Refusal] = []
    for candidate in (BACKENDS[name] for name in candidates):
        if (obstacle := candidate.obstacle(step)) is not None:
            refused.append(Refusal(backend=candidate.name, reason=obstacle.what))
            continue
        used = candidate.precision(precision)
        start_s = time.monotonic()
        try:
            run = candidate.build(step, Settings(precision=used, threads=threads, cache=cache))
            made = run([x.clone() for x in leaves])
            found = difference(made, expected)
            same = agreement(step, made, expected)
        except Exception as error:  # any of a dozen libraries' own errors
            refused.append(Refusal(backend=candidate.name, reason=_first_line(error)))
            continue
        if not found <= TOLERANCE[used]:
            reason = f"differs from eager f32 by {found:.1e}, allowed {TOLERANCE[used]:.0e} in {used}"
            refused.append(Refusal(backend=candidate.name, reason=reason))
            continue
        if same < AGREEMENT:
            reason = (
                f"decides as eager f32 in {same:.1%} of all places, {AGREEMENT:.0%} are needed, in {used}"
            )
            refused.append(Refusal(backend=candidate.name, reason=reason))
            continue
        report = Report(
            backend=candidate.name,
            precision=used,
            difference=found,
            build_s=time.monotonic() - start_s,
            refused=tuple(refused),
        )
        return Prepared(program=Program(run, arguments, results), report=report)
    raise BackendError(
        f"no backend runs this step: {'; '.join(f'{r.backend}: {r.reason}' for r in refused)}",
        "Try --model.precision f32; if it repeats, the weights are damaged",
    )


def difference(results: list[Tensor], expected: list[Tensor]) -> float:
    """RMS of the difference over RMS of what is expected, of the worst output of floats; NaN if any is."""
    if [tuple(x.shape) for x in results] != [tuple(x.shape) for x in expected]:
        raise ValueError(f"results are {[tuple(x.shape) for x in results]}")
    worst = 0.0
    for mine, theirs in zip(results, expected, strict=True):
        if theirs.is_floating_point() and theirs.numel():
            scale = theirs.double().square().mean().sqrt().clamp(min=1e-6)
            found = float((mine.double() - theirs.double()).square().mean().sqrt() / scale)
            worst = found if found != found else max(worst, found)
            if worst != worst:
                return worst
    return worst


def agreement(step: Step, results: list[Tensor], expected: list[Tensor]) -> float:
    """Share of the step's decisions that are the expected ones; 1 for a step that decides nothing."""
    if step.decide is None:
        return 1.0
    return float((step.decide(results) == step.decide(expected)).double().mean())


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:200] if text else ''}"
