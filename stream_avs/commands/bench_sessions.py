"""`stream-avs bench sessions`: one mask of a live preset, on several backends and for many sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from stream_avs.config import BackendName, ModelConfig, require

if TYPE_CHECKING:
    from stream_avs.benchmarks.sessions import Sessions

CLIP = "assets/talkers.mp4"
_WIDTH = 120  # columns; narrower tables are cut


@dataclass(frozen=True, kw_only=True)
class SessionsBenchConfig:
    """Cases of `bench sessions`; the network is that of `--model`."""

    backends: tuple[BackendName, ...] = (BackendName.EAGER, BackendName.AUTO)
    """What runs the network; they take turns, and the first is what others are compared with."""
    counts: tuple[int, ...] = (1,)
    """How many sessions of one network."""
    rounds: int = 30
    """Masks of each session."""

    def __post_init__(self) -> None:
        require(bool(self.backends), "sessions.backends", self.backends, "one or more")
        require(all(1 <= n <= 1000 for n in self.counts), "sessions.counts", self.counts, "1..1000 each")
        require(1 <= self.rounds <= 100_000, "sessions.rounds", self.rounds, "1..100000")


def run_sessions(config: SessionsBenchConfig, model: ModelConfig, console: Console) -> list[Sessions]:
    """Measure and print.

    Raises:
        StreamAvsError: the network cannot be loaded, or a backend cannot run here.
    """
    from stream_avs.benchmarks.sessions import measure_sessions

    with console.status("") as status:
        results = measure_sessions(
            model, Path(str(files("stream_avs") / CLIP)), backends=config.backends, counts=config.counts,
            rounds=config.rounds, progress=status.update,
        )  # fmt: skip
    Console(width=max(console.width, _WIDTH)).print(_table(results))
    for note in dict.fromkeys(note for r in results for note in r.notes):
        console.print(note, markup=False, highlight=False)
    return results


def _table(results: Sequence[Sessions]) -> Table:
    table = Table(
        title=results[0].model,
        title_justify="left",
        caption="first/: how many times less than the first backend; CPU: time of all threads; MSDA: "
        "deformable attention's share of it, where it can be told apart",
        caption_justify="left",
    )
    columns = (
        "backend",
        "sessions",
        "mask p50",
        "p95 (ms)",
        "first/",
        "CPU ms",
        "first/",
        "masks/s",
        "MB each",
    )
    for i, column in enumerate((*columns, "MSDA", "load s")):
        table.add_column(column, justify="right" if i else "left", no_wrap=True)
    first = {r.sessions: r for r in reversed(results)}
    for r in results:
        table.add_row(
            r.backend, str(r.sessions), f"{r.step.p50_ms:.1f}", f"{r.step.p95_ms:.1f}",
            f"{first[r.sessions].step.p50_ms / r.step.p50_ms:.2f}", f"{r.cpu_ms:.1f}",
            f"{first[r.sessions].cpu_ms / r.cpu_ms:.2f}", f"{r.masks_per_s:.1f}", f"{r.state_mb:.1f}",
            f"{r.deformable_share:.0%}" if r.deformable_share else "", f"{r.load_s:.1f}",
        )  # fmt: skip
    return table
