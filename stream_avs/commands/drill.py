"""`stream-avs drill`: break a session on purpose, one thing at a time, and measure how it mends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from stream_avs.benchmarks.machine import this_machine
from stream_avs.commands.arguments import parse_arguments
from stream_avs.config import require
from stream_avs.drills.catalogue import DRILLS, chosen
from stream_avs.drills.perform import perform
from stream_avs.drills.report import DrillReport, Times, Verdict
from stream_avs.errors import PublishError

DESCRIPTION = """\
Break a session on purpose and measure how it mends: a network camera is switched off, the microphone
unplugged, the worker killed, the disk filled, two hundred subscribers come. Each drill runs a session
of its own on a synthetic scene whose right masks are known, and checks after the fault: what the
session said, how long until masks were right again, that they stay right, that nothing hangs, and that
no file and no thread is left behind. Nothing outside the drill is touched. What cannot be done on this
machine is skipped with its reason.

examples:
  stream-avs drill --list
  stream-avs drill source-lost worker-killed
  stream-avs drill --json out/drills.json
"""

_COLOURS = {Verdict.PASSED: "green", Verdict.FAILED: "bold red", Verdict.SKIPPED: "yellow"}


@dataclass(frozen=True, kw_only=True)
class DrillConfig:
    """Which drills, and where the report goes."""

    names: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Drills to do; all without any."""
    list: bool = False
    """Say what there is, and do nothing."""
    json: str = ""
    """Write the whole report to this file."""
    settle_s: float = 3.0
    """Undisturbed running before each fault."""
    fault_s: float = 3.0
    """Length of faults that last."""
    calm_s: float = 4.0
    """Running after the fault, in which masks have to be right."""

    def __post_init__(self) -> None:
        require(0 <= self.settle_s <= 3600, "settle_s", self.settle_s, "0..3600 s")
        require(0.1 <= self.fault_s <= 3600, "fault_s", self.fault_s, "0.1..3600 s")
        require(1 <= self.calm_s <= 3600, "calm_s", self.calm_s, "1..3600 s")


def run(argv: list[str]) -> int:
    """Do drills; returns 1 if any failed, else 0."""
    config = parse_arguments(DrillConfig, "drill", argv, DESCRIPTION)
    drills = chosen(config.names)
    console = Console()
    if config.list:
        console.print(_list())
        return 0
    times = Times(settle_s=config.settle_s, fault_s=config.fault_s, calm_s=config.calm_s)
    reports: list[DrillReport] = []
    status = Console(stderr=True)
    try:
        for drill in drills:
            with status.status(f"{drill.name}: {drill.what} ({len(reports) + 1} of {len(drills)})"):
                reports.append(perform(drill, times))
    except KeyboardInterrupt:
        status.print("interrupted; the drills done so far:")
    console.print(_table(reports))
    for report in reports:
        if report.verdict is Verdict.FAILED:
            console.print(f"[bold red]{report.name}[/]: ", end="")
            console.print(report.reason, markup=False, highlight=False, soft_wrap=True)
    if config.json:
        _write(Path(config.json), reports)
    return int(any(report.verdict is Verdict.FAILED for report in reports))


def _table(reports: Sequence[DrillReport]) -> Table:
    table = Table()
    for column, whole in (
        ("drill", True),
        ("right masks again", True),
        ("says meanwhile", False),
        ("", True),
    ):
        table.add_column(column, no_wrap=whole)
    for report in reports:
        again = "-" if report.recovery_s is None else f"{report.recovery_s:.2f} s"
        says = report.reason if report.verdict is Verdict.SKIPPED else " > ".join(report.shown)
        verdict = f"[{_COLOURS[report.verdict]}]{report.verdict}[/]"
        table.add_row(report.name, again, says, verdict)
    return table


def _list() -> Table:
    table = Table()
    for column in ("drill", "fault", "right masks again within", "here"):
        table.add_column(column)
    for drill in DRILLS:
        bound = "no pause" if drill.bound_s is None else f"{drill.bound_s:g} s"
        table.add_row(drill.name, drill.what, bound, drill.needs() or "can be done")
    return table


def _write(path: Path, reports: Sequence[DrillReport]) -> None:
    report = {"machine": asdict(this_machine()), "drills": [asdict(r) for r in reports]}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=2) + "\n")
    except OSError as error:
        raise PublishError(f"cannot write {path}: {error.strerror}", "Choose another --json file") from None
