"""`stream-avs soak`: watch a session for an hour, or days, and say whether anything grows."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from stream_avs.commands.arguments import parse_arguments
from stream_avs.errors import PublishError
from stream_avs.soak.config import SoakConfig
from stream_avs.soak.judge import Check, judge, others_busy
from stream_avs.soak.plot import plot_soak
from stream_avs.soak.run import INTERRUPTED, SAMPLES, soak
from stream_avs.soak.sample import Sample, read_samples

REPORT, PLOT = "report.json", "soak.png"

DESCRIPTION = """\
Run a session in a process of its own with one reader, look at it every ten seconds, and fail if
memory, files, threads or the age of masks grow beyond the bounds, or if masks stop coming.

Ctrl-C ends it with the report so far. What was seen is on the disk at once: after a run was killed,
`--judge` makes the report of what lies there.

examples:
  stream-avs soak --minutes 60
  stream-avs soak --minutes 5 --source synthetic --rate-hz 10 --out out/quick
  stream-avs soak --nice -10 --preset nano -- --model.threads 1 --window.staleness-budget-s 0.3
  stream-avs soak --judge --out out/soak
"""


def run(argv: list[str]) -> int:
    """Watch, judge and draw; returns 0, or 1 if a bound is broken."""
    own, more = argv, []
    if "--" in argv:
        own, more = argv[: argv.index("--")], argv[argv.index("--") + 1 :]
    config = parse_arguments(SoakConfig, "soak", own, DESCRIPTION)
    return run_soak(replace(config, options=(*config.options, *more)))


def run_soak(config: SoakConfig) -> int:
    """Do what `config` says; see `run`."""
    console = Console(stderr=True)
    early = "" if config.judge else _watch(config, console)
    folder = Path(config.out)
    head, samples = read_samples(folder / SAMPLES)
    checks = judge(samples, config.bounds)
    minutes = samples[-1].at_s / 60 if samples else 0.0
    failed = any(check.passed is False for check in checks) or early not in ("", INTERRUPTED)
    report = {
        **head, "minutes_watched": round(minutes, 2), "ended_early": early, "passed": not failed,
        "checks": [asdict(check) for check in checks], "last": asdict(samples[-1]) if samples else None,
    }  # fmt: skip
    _write(folder / REPORT, json.dumps(report, indent=2) + "\n")
    title = f"{' '.join(head.get('options', []))}; {minutes:.1f} min from {head.get('begun', '?')}"
    plot_soak(samples, config.bounds, folder / PLOT, title)
    if early:
        console.print(f"ended early: {early}", markup=False)
    Console().print(_table(checks, samples))
    return int(failed)


def _watch(config: SoakConfig, console: Console) -> str:
    signal.signal(signal.SIGTERM, _interrupt)
    columns = (
        TextColumn("soak"), BarColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
        TextColumn("{task.fields[now]}"),
    )  # fmt: skip
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("soak", total=config.minutes * 60, now="starting")
        return soak(config, lambda s: progress.update(task, completed=s.at_s, now=_one_line(s)))


def _one_line(sample: Sample) -> str:
    return (
        f"{sample.masks_per_s:.1f} masks/s  p99 {sample.age_p99_ms:.0f} ms  "
        f"{sample.resident_mb:.0f} MB  {sample.files} files  {sample.threads} threads"
    )


def _table(checks: Sequence[Check], samples: Sequence[Sample]) -> Table:
    table = Table(title_justify="left", title=_totals(samples) if samples else None)
    for column in ("judged", "found", "bound", ""):
        table.add_column(column)
    words = {True: "[green]ok[/]", False: "[bold red]BROKEN[/]", None: "[dim]not judged[/]"}
    for check in checks:
        table.add_row(check.name, check.found, check.bound, words[check.passed])
    return table


def _totals(samples: Sequence[Sample]) -> str:
    last = samples[-1]
    events = ", ".join(f"{n} {name}" for name, n in last.events.items())
    return (
        f"{last.masks} masks of {last.frames} frames in {last.at_s / 60:.1f} min; {events or 'no events'}; "
        f"other processes kept {others_busy(samples):.1f} processors busy"
    )


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise PublishError(f"cannot write {path}: {error.strerror}", "Choose another --out") from None


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt
