"""`stream-avs bench`: what the pipeline adds to a mask's age, slow readers, the live path, the engine, a
long run.

    stream-avs bench live --preset nano --fps 30 --busy-core
    stream-avs bench sessions --preset nano --sessions.counts 1 8 32
    stream-avs bench engine --engine.presets nano pvt2 --json engine.json
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from stream_avs.benchmarks.machine import this_machine
from stream_avs.benchmarks.overhead import Overhead, Reader, measure_overhead
from stream_avs.commands.arguments import parse_arguments
from stream_avs.commands.bench_engine import EngineBenchConfig, run_engine
from stream_avs.commands.bench_live import LiveBenchConfig, run_live
from stream_avs.commands.bench_sessions import SessionsBenchConfig, run_sessions
from stream_avs.commands.soak import REPORT, run_soak
from stream_avs.config import ModelConfig, require
from stream_avs.errors import PublishError
from stream_avs.soak.config import SoakConfig

_SHORT = {"--preset": "--model.preset", "--fps": "--live.fps", "--busy-core": "--live.busy-core"}
MAX_ADDED_P50_MS, MAX_ADDED_P99_MS, MAX_SLOW_AGE_MS = 3.0, 10.0, 100.0


class What(StrEnum):
    """Which measurement."""

    OVERHEAD = "overhead"  # one reader, 640x480 at 30 Hz
    READERS = "readers"  # ten readers, one of them at 2 Hz, beside nine without it
    SOAK = "soak"  # `stream-avs soak` of this length, with its report in out/soak
    LIVE = "live"  # a file at 30 Hz through the whole live path, read by another process
    SESSIONS = "sessions"  # one mask of a live preset on several backends, for one or many sessions
    ENGINE = "engine"  # what one mask costs, beside recomputing its whole window


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """What to measure and where to put the figures."""

    what: Annotated[tuple[What, ...], tyro.conf.Positional] = (What.OVERHEAD, What.READERS)
    """overhead, readers, soak, live, sessions and engine; any of them."""
    duration_s: float = 20.0
    """Length of each overhead, readers and live run."""
    minutes: float = 10.0
    """Length of the soak."""
    source: str = ""
    """File for the soak; empty for the bundled clip."""
    json: str = ""
    """Write all figures to this file."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The network of `live` and `sessions`. `--preset` is short for `--model.preset`."""
    live: LiveBenchConfig = field(default_factory=LiveBenchConfig)
    sessions: SessionsBenchConfig = field(default_factory=SessionsBenchConfig)
    engine: EngineBenchConfig = field(default_factory=EngineBenchConfig)

    def __post_init__(self) -> None:
        require(self.duration_s >= 2, "duration_s", self.duration_s, "at least 2 s")
        require(0 < self.minutes <= 10_000, "minutes", self.minutes, "(0, 10000] minutes")


def run(argv: list[str]) -> int:
    """Measure and report; returns 1 if a stated bound is broken, else 0."""
    config = parse_arguments(BenchConfig, "bench", [_long(word) for word in argv], __doc__)
    if config.json:
        _check_writable(Path(config.json))
    console = Console()
    report: dict[str, Any] = {"machine": asdict(this_machine())}
    good = True
    for what in config.what:
        if what is What.SOAK:
            report["soak"], ok = _soak(config)
        elif what is What.LIVE:
            live = run_live(config.live, config.model, config.duration_s, console)
            report["live"], ok = asdict(live), True
        elif what is What.SESSIONS:
            report["sessions"], ok = (
                [asdict(r) for r in run_sessions(config.sessions, config.model, console)],
                True,
            )
        elif what is What.ENGINE:
            report["engine"], ok = [asdict(r) for r in run_engine(config.engine, console)], True
        else:
            runs, ok = _overhead(what, config, console)
            report[what.value] = [asdict(r) for r in runs]
        good = good and ok
    if config.json:
        Path(config.json).write_text(json.dumps(report, indent=2) + "\n")
    return 0 if good else 1


def _long(word: str) -> str:
    name, equals, value = word.partition("=")
    return _SHORT.get(name, name) + equals + value


def _overhead(what: What, config: BenchConfig, console: Console) -> tuple[list[Overhead], bool]:
    fast = tuple(Reader(name=f"reader {i}") for i in range(1 if what is What.OVERHEAD else 9))
    slow = Reader(name="2 Hz reader", pause_s=0.5)
    line_ups = [fast] if what is What.OVERHEAD else [fast, (*fast, slow)]
    runs = []
    for readers in line_ups:
        with console.status(f"{len(readers)} readers, {config.duration_s:.0f} s"):
            runs.append(measure_overhead(readers, duration_s=config.duration_s))
        console.print(_table(runs[-1]))
    ok = all(
        r.added.p50_ms <= MAX_ADDED_P50_MS and r.added.p99_ms <= MAX_ADDED_P99_MS
        for run in runs[: 1 if what is What.OVERHEAD else 0]
        for r in run.readers
    )
    if what is What.READERS:
        without, with_slow = (_median_p50(run) for run in runs)
        slow_age = runs[1].readers[-1].age
        console.print(
            f"fast readers' median added time: {without:.2f} ms without, {with_slow:.2f} ms with the 2 Hz "
            f"reader (ratio {with_slow / without:.2f}); masks the 2 Hz reader saw were {slow_age} old"
        )
        ok = slow_age.p95_ms <= MAX_SLOW_AGE_MS
    return runs, ok


def _median_p50(run: Overhead) -> float:
    fast = sorted(r.added.p50_ms for r in run.readers if r.name != "2 Hz reader")
    return fast[len(fast) // 2]


def _table(run: Overhead) -> Table:
    table = Table(
        title=f"{run.width_px}x{run.height_px} at {run.fps:g} Hz, {run.masks} masks of {run.captured} frames",
        title_justify="left",
    )
    for column in ("reader", "masks", "added p50", "p99", "max (ms)", "age p50", "p99 (ms)"):
        table.add_column(column, justify="left" if column == "reader" else "right")
    for r in run.readers:
        figures = (r.added.p50_ms, r.added.p99_ms, r.added.max_ms, r.age.p50_ms, r.age.p99_ms)
        table.add_row(r.name, str(r.added.n), *(f"{f:.2f}" for f in figures))
    return table


def _soak(config: BenchConfig) -> tuple[dict[str, Any], bool]:
    settings = SoakConfig(minutes=config.minutes, source=config.source, preset=config.model.preset)
    good = run_soak(settings) == 0
    return json.loads((Path(settings.out) / REPORT).read_text()), good


def _check_writable(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise PublishError(
            f"cannot write {path}: {error.strerror}", "Choose another --json file"
        ) from None  # fmt: skip
