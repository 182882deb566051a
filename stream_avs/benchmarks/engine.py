"""What one mask costs: each preset, mode, backend and batch beside recomputing its whole window.

All cases take turns within each round, so that whatever else the machine does falls on all alike;
compare the ratios of one run, on a busy machine those of processor time. Weights are random: they do
not change the cost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from stream_avs.benchmarks.machine import Quantiles, quantiles, resident_mb
from stream_avs.config import BackendName, Precision
from stream_avs.engine.backends.base import Step
from stream_avs.engine.backends.prepare import Prepared, Report, prepare
from stream_avs.engine.ccformer_examples import example_steps as ccformer_steps
from stream_avs.engine.network_stream import AnyEngine, engine_of
from stream_avs.engine.requests import FrameInput, Request
from stream_avs.engine.window_engine import example_steps as stateless_steps
from stream_avs.models import architectures
from stream_avs.models.ccformer.ccformer import CCFormer
from stream_avs.models.ccformer.config import CCFormerConfig, Mode
from stream_avs.models.deformable_attention import DeformableAttention
from stream_avs.models.flops import count_macs
from stream_avs.models.network import Network, NetworkOutput, StatelessNetwork

_WARM_UP_ROUNDS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One way to make masks; `input_px` 0 is the preset's own. `mode` is CCFormer's; others have windows."""

    preset: str
    mode: Mode
    backend: BackendName
    precision: Precision
    batch: int = 1
    input_px: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """Wall time of one call, and processor time of all threads."""

    wall_ms: float
    cpu_ms: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What a case cost.

    Attributes:
        preset, mode, input_px, batch: of the case.
        backend, precision: that ran in the end; see `notes`.
        gmac: 10^9 multiply-accumulates for one mask.
        naive_gmac: for one mask when the whole window is recomputed, every frame with its mask.
        step: one step of `batch` streams.
        masks_per_s: `batch` over the median step.
        naive: one window of one stream, same backend and precision.
        naive_backend: that recomputed; eager where the case's own was refused.
        naive_ratio: median naive window over median step, for each mask.
        step_cpu_ms, naive_cpu_ms: median processor time of all threads; other load hardly touches it.
        naive_cpu_ratio: as `naive_ratio`, of processor time; not for GPUs.
        stream_mb: memory that one stream's caches take, MB (10^6 bytes).
        process_mb: memory of the process after building this case.
        peak_share: arithmetic done per second over this machine's measured peak.
        deformable_share: deformable attention, each call alone on this backend, over the step; of
            processor time.
        build_s: seconds to build and check.
        notes: which backend runs and why not another.
    """

    preset: str
    mode: str
    input_px: int
    batch: int
    backend: str
    precision: str
    gmac: float
    naive_gmac: float
    step: Quantiles
    masks_per_s: float
    naive: Quantiles
    naive_backend: str
    naive_ratio: float
    step_cpu_ms: float
    naive_cpu_ms: float
    naive_cpu_ratio: float
    stream_mb: float
    process_mb: float
    peak_share: float
    deformable_share: float
    build_s: float
    notes: tuple[str, ...]


class NaiveStep(nn.Module):
    """The whole network on the whole window, every frame with its mask: what is done elsewhere."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor, audio: Tensor, *carried: Tensor) -> tuple[Tensor, ...]:
        """[1, T, 3, S, S], [1, T, ...], queries and reset if any -> masks [1, T, ...], scores, queries."""
        output: NetworkOutput = self.network(frames, audio, *carried, every_layer=False)
        left = () if output.queries is None else (output.queries,)
        return output.masks[-1], output.sounding, *left


@dataclass(kw_only=True, eq=False)
class _Built:
    case: Case
    engine: AnyEngine
    naive: Prepared
    naive_arguments: tuple[Tensor, ...]
    requests: list[Request]
    process_mb: float
    build_s: float

    @property
    def report(self) -> Report:
        """Of the half that costs most, the fusion's and encoder's agree but for refusals."""
        return max(self.engine.reports, key=lambda report: len(report.refused))


def measure_engine(
    cases: Sequence[Case],
    *,
    rounds: int = 20,
    threads: int = 2,
    progress: Callable[[str], None] = lambda what: None,
) -> list[Result]:
    """Build all cases, then let them take turns.

    Raises:
        StreamAvsError: a backend asked for by name cannot run here.
    """
    torch.set_num_threads(threads)
    built = []
    for case in cases:
        progress(f"building {case.preset} {case.mode} {case.backend} {case.precision} x{case.batch}")
        built.append(_build(case, threads))
    steps: list[list[Spent]] = [[] for _ in built]
    naives: list[list[Spent]] = [[] for _ in built]
    for turn in range(rounds + _WARM_UP_ROUNDS):
        progress(f"round {turn + 1} of {rounds + _WARM_UP_ROUNDS}")
        for i, one in enumerate(built):
            steps[i].append(_spent(partial(one.engine.step, one.requests)))
            naives[i].append(_spent(partial(one.naive.program, *one.naive_arguments)))
    peaks = {
        precision: peak_gmac_s(precision) for precision in {Precision(b.report.precision) for b in built}
    }
    results = []
    for one, step, naive in zip(built, steps, naives, strict=True):
        progress(f"deformable attention of {one.case.preset} {one.case.mode} {one.case.backend}")
        settled = step[_WARM_UP_ROUNDS:], naive[_WARM_UP_ROUNDS:]
        results.append(_result(one, *settled, peaks, threads))
    return results


def _build(case: Case, threads: int) -> _Built:
    start_s = time.monotonic()
    network = _network(case)
    px, device = case.input_px or network.config.input_px, _device(case.backend)
    engine = engine_of(
        network, px, backend=case.backend, precision=case.precision, threads=threads,
        batch_sizes=(case.batch,), rows=case.batch, device=device,
    )  # fmt: skip
    arguments = tuple(x.to(device) for x in _window(network, px))
    naive = prepare(
        Step(module=NaiveStep(network).eval(), example=arguments),
        backend=case.backend, precision=case.precision, threads=threads,
    )  # fmt: skip
    image = (arguments[0][:, 0] * 255).to(torch.uint8).cpu()
    frame = FrameInput(slot=0, image=image, log_mel=arguments[1][:, 0].cpu())
    requests = [
        Request(row=row, newest=frame, looks_at=tuple(range(engine.frames)), carried=0, leaves=1)
        for row in range(case.batch)
    ]
    return _Built(
        case=case, engine=engine, naive=naive, naive_arguments=arguments, requests=requests,
        process_mb=resident_mb(), build_s=time.monotonic() - start_s,
    )  # fmt: skip


def _network(case: Case) -> Network:
    torch.manual_seed(0)
    config = architectures.find_preset(case.preset)
    if isinstance(config, CCFormerConfig):
        config = replace(config, mode=case.mode)
    return architectures.build(config).eval().requires_grad_(False)


def _window(network: Network, px: int) -> tuple[Tensor, ...]:
    """Noise for `NaiveStep`: all frames that a live mask depends on, and what is carried, if anything is."""
    T, generator = network.config.live_frames, torch.Generator().manual_seed(0)
    window = (
        torch.rand(1, T, 3, px, px, generator=generator),
        torch.randn(1, T, *network.audio_shape, generator=generator),
    )
    if not isinstance(network, CCFormer):
        return window
    queries = torch.randn(1, network.config.queries, network.config.d, generator=generator)
    return *window, queries, torch.zeros(1, dtype=torch.bool)


def _steps(network: Network, px: int, batch: int) -> tuple[Step, Step]:
    if isinstance(network, CCFormer):
        return ccformer_steps(network, px, batch)
    assert isinstance(network, StatelessNetwork)
    return stateless_steps(network, px, batch)


def _device(backend: BackendName) -> str:
    gpu = backend in (BackendName.CUDA, BackendName.TENSORRT)
    return "cuda" if gpu or (backend is BackendName.AUTO and torch.cuda.is_available()) else "cpu"


def _spent(run: Callable[[], object]) -> Spent:
    """Time a call; on a GPU until the results are there."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    wall_ns, cpu_ns = time.perf_counter_ns(), time.process_time_ns()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return Spent(
        wall_ms=(time.perf_counter_ns() - wall_ns) / 1e6, cpu_ms=(time.process_time_ns() - cpu_ns) / 1e6
    )


def _result(
    one: _Built, steps: list[Spent], naives: list[Spent], peaks: dict[Precision, float], threads: int
) -> Result:
    case, report = one.case, one.report
    gmac, naive_gmac = count_gmac(case)
    step, naive = (quantiles([s.wall_ms for s in spent]) for spent in (steps, naives))
    step_cpu_ms, naive_cpu_ms = (median(s.cpu_ms for s in spent) for spent in (steps, naives))
    reports = (*one.engine.reports, one.naive.report)
    return Result(
        preset=case.preset, mode=case.mode.value, input_px=one.engine.input_px, batch=case.batch,
        backend=report.backend, precision=report.precision.value, gmac=gmac, naive_gmac=naive_gmac,
        step=step, masks_per_s=1000.0 * case.batch / step.p50_ms,
        naive=naive, naive_backend=one.naive.report.backend,
        naive_ratio=naive.p50_ms * case.batch / step.p50_ms,
        step_cpu_ms=step_cpu_ms, naive_cpu_ms=naive_cpu_ms,
        naive_cpu_ratio=naive_cpu_ms * case.batch / step_cpu_ms,
        stream_mb=one.engine.slot_bytes * one.engine.slots / 1e6, process_mb=one.process_mb,
        peak_share=gmac * case.batch / (step.p50_ms / 1000.0) / peaks[Precision(report.precision)],
        deformable_share=_deformable_ms(one, threads) / step_cpu_ms,
        build_s=one.build_s,
        notes=tuple(dict.fromkeys(line for r in reports for line in r.notes)),
    )  # fmt: skip


def count_gmac(case: Case) -> tuple[float, float]:
    """10^9 MACs of one mask: ours, and with everything recomputed."""
    with torch.device("meta"):
        network = _network(case)
    px = case.input_px or network.config.input_px
    naive = count_macs(NaiveStep(network).eval(), *(x.to("meta") for x in _window(network, px))).total()
    ours = sum(count_macs(s.module, *s.example).total() for s in _steps(network, px, 1))
    return ours / 1e9, naive / 1e9


def peak_gmac_s(precision: Precision) -> float:
    """This machine's best rate of 10^9 MACs a second, by square matrix products."""
    dtype = {Precision.BF16: torch.bfloat16, Precision.F16: torch.float16}.get(precision, torch.float32)
    device, n = ("cuda", 8192) if torch.cuda.is_available() else ("cpu", 1024)
    a, b = (torch.rand(n, n, dtype=dtype, device=device) for _ in range(2))
    best_ms = min(_spent(lambda: a @ b).wall_ms for _ in range(12))
    return n**3 / 1e9 / (best_ms / 1000.0)


def _deformable_ms(one: _Built, threads: int, repeats: int = 7) -> float:
    """Median processor time of all deformable attention of one step, each call alone on the same backend."""
    calls: list[tuple[nn.Module, tuple[object, ...]]] = []

    def note(module: nn.Module, arguments: tuple[object, ...]) -> None:
        calls.append((module, tree_map(lambda x: x.clone() if isinstance(x, Tensor) else x, arguments)))

    network = one.engine.network
    hooks = [
        m.register_forward_pre_hook(note) for m in network.modules() if isinstance(m, DeformableAttention)
    ]
    try:
        with torch.inference_mode():
            for step in one.engine.example_steps(one.case.batch):
                step.module(*step.example)
    finally:
        for hook in hooks:
            hook.remove()
    total_ms = 0.0
    for module, (*tensors, sizes) in calls:
        example = tuple(x.clone() for x in tensors if isinstance(x, Tensor))
        step = Step(module=_Alone(module, sizes).eval(), example=example)
        backend = BackendName(one.report.backend)
        ready = prepare(
            step, backend=backend, precision=one.report.precision, threads=threads, cache=None
        )  # fmt: skip
        total_ms += median(_spent(partial(ready.program, *example)).cpu_ms for _ in range(repeats))
    return total_ms


class _Alone(nn.Module):
    def __init__(self, module: nn.Module, sizes: object) -> None:
        super().__init__()
        self.module = module
        self.sizes = sizes

    def forward(self, query: Tensor, reference: Tensor, features: Tensor) -> Tensor:
        """Deformable attention with its sizes fixed."""
        result: Tensor = self.module(query, reference, features, self.sizes)
        return result
