"""Runs one drill and turns what it found into a report."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

from stream_avs.drills.report import Check, Drill, DrillReport, Outcome, Times, Verdict
from stream_avs.errors import StreamAvsError


def perform(drill: Drill, times: Times | None = None) -> DrillReport:
    """Run `drill`; never raises for what the drill finds."""
    if lacking := drill.needs():
        return DrillReport(name=drill.name, verdict=Verdict.SKIPPED, reason=lacking)
    begun_s = time.monotonic()
    # Sockets have short names: not below a test's own folder.
    with tempfile.TemporaryDirectory(prefix="avs") as folder:
        try:
            outcome = drill.act(Path(folder), times or Times())
        except StreamAvsError as error:
            return DrillReport(
                name=drill.name, verdict=Verdict.FAILED, reason=str(error), took_s=time.monotonic() - begun_s
            )
    return replace(judge(drill, outcome), took_s=round(time.monotonic() - begun_s, 1))


def judge(drill: Drill, outcome: Outcome) -> DrillReport:
    """Hold an outcome against the bound of its drill. Pure."""
    checks = list(outcome.checks)
    if drill.bound_s is not None:
        found = "none" if outcome.recovery_s is None else f"{outcome.recovery_s:.2f} s"
        in_time = outcome.recovery_s is not None and outcome.recovery_s <= drill.bound_s
        name = f"right masks again within {drill.bound_s:g} s"
        checks.insert(0, Check(name=name, found=found, passed=in_time))
    broken = [f"{check.name}: {check.found}" for check in checks if not check.passed]
    return DrillReport(
        name=drill.name,
        verdict=Verdict.FAILED if broken else Verdict.PASSED,
        reason="; ".join(broken),
        shown=outcome.shown,
        recovery_s=outcome.recovery_s,
        checks=tuple(checks),
    )
