"""`stream-avs bench engine`: what one mask costs, per preset, mode, backend and batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from stream_avs.config import BackendName, Precision, require
from stream_avs.errors import ConfigError, nearest
from stream_avs.models.architectures import find_preset, preset_names
from stream_avs.models.ccformer.config import CCFormerConfig, Mode

if TYPE_CHECKING:
    from stream_avs.benchmarks.engine import Result

_WIDTH = 175  # columns; narrower tables are cut


@dataclass(frozen=True, kw_only=True)
class EngineBenchConfig:
    """Cases of `bench engine`: every combination."""

    presets: tuple[str, ...] = ("nano",)
    """Networks, such as pvt2 or tpavi-pvt2 (see `stream-avs model list`); weights are random, which does
    not change the cost."""
    modes: tuple[Mode, ...] = (Mode.CAUSAL, Mode.WINDOW)
    """Whether frames look back only; for CCFormer, the others have windows."""
    backends: tuple[BackendName, ...] = (BackendName.EAGER, BackendName.AUTO)
    """What runs the network."""
    precisions: tuple[Precision, ...] = (Precision.AUTO,)
    """What it computes in."""
    batches: tuple[int, ...] = (1,)
    """Streams in one step."""
    input_px: int = 0
    """Side of the square input; 0 for each preset's own."""
    rounds: int = 20
    """Steps of each case; all cases take turns."""
    threads: int = 2
    """CPU threads."""
    plot: str = ""
    """Draw the cases to this PNG file."""

    def __post_init__(self) -> None:
        for name in self.presets:
            if name not in preset_names():
                raise ConfigError(f"setting engine.presets has {name!r}", nearest(name, preset_names()))
        require(all(b >= 1 for b in self.batches), "engine.batches", self.batches, "1 or more each")
        require(
            self.input_px == 0 or (32 <= self.input_px <= 1024 and self.input_px % 16 == 0),
            "engine.input_px", self.input_px, "0 or a multiple of 16 in 32..1024",
        )  # fmt: skip
        require(1 <= self.rounds <= 100_000, "engine.rounds", self.rounds, "1..100000")
        require(1 <= self.threads <= 256, "engine.threads", self.threads, "1..256")


def run_engine(config: EngineBenchConfig, console: Console) -> list[Result]:
    """Measure, print the table, draw the plot.

    Raises:
        StreamAvsError: a backend asked for by name cannot run here, or the plot cannot be written.
    """
    from stream_avs.benchmarks.engine import Case, measure_engine

    cases = [
        Case(preset=p, mode=mode, backend=backend, precision=precision, batch=batch, input_px=config.input_px)
        for p in config.presets
        for mode, backend, precision, batch in product(
            _modes(p, config.modes), config.backends, config.precisions, config.batches
        )
    ]
    with console.status("") as status:
        results = measure_engine(
            cases, rounds=config.rounds, threads=config.threads, progress=lambda what: status.update(what)
        )
    Console(width=max(console.width, _WIDTH)).print(_table(results))
    for note in dict.fromkeys(note for r in results for note in r.notes if note.startswith("not ")):
        console.print(note, markup=False, highlight=False)
    if config.plot:
        from stream_avs.benchmarks.engine_plot import plot_engine

        plot_engine(results, Path(config.plot))
    return results


def _modes(preset: str, modes: Sequence[Mode]) -> Sequence[Mode]:
    return modes if isinstance(find_preset(preset), CCFormerConfig) else (Mode.WINDOW,)


def _table(results: Sequence[Result]) -> Table:
    table = Table(
        title="One mask, beside the naive recomputation of its whole window in the same run",
        title_justify="left",
        caption="naive/: how many times less than naive (* naive in eager); CPU: time of all threads; "
        "peak: share of this machine's matrix-product rate; "
        "MSDA: deformable attention's share of a step",
        caption_justify="left",
    )
    columns = (
        "case",
        "GMAC",
        "naive/",
        "step p50",
        "p95",
        "p99 (ms)",
        "masks/s",
        "naive p50",
        "naive/",
        "CPU ms",
        "naive/",
    )
    for i, column in enumerate((*columns, "MB/stream", "peak", "MSDA")):
        table.add_column(column, justify="right" if i else "left", no_wrap=True)
    for r in results:
        table.add_row(
            f"{r.preset} {r.input_px} {r.mode} {r.backend} {r.precision} x{r.batch}",
            f"{r.gmac:.2f}", f"{r.naive_gmac / r.gmac:.2f}",
            f"{r.step.p50_ms:.1f}", f"{r.step.p95_ms:.1f}", f"{r.step.p99_ms:.1f}", f"{r.masks_per_s:.1f}",
            f"{r.naive.p50_ms:.1f}", f"{r.naive_ratio:.2f}",
            f"{r.step_cpu_ms:.1f}", f"{r.naive_cpu_ratio:.2f}" + "*" * (r.naive_backend != r.backend),
            f"{r.stream_mb:.1f}", f"{r.peak_share:.0%}", f"{r.deformable_share:.0%}",
        )  # fmt: skip
    for backend in (BackendName.CUDA, BackendName.TENSORRT):
        if all(r.backend != backend.value for r in results):
            table.add_row(f"{backend}: not measured")
    return table
