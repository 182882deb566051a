"""The drills themselves. Those that take long, or need what few machines have, are slow tests."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from stream_avs.cli import main
from stream_avs.drills.catalogue import DRILLS
from stream_avs.drills.perform import perform
from stream_avs.drills.report import Drill, Times, Verdict

QUICK = Times(settle_s=0.3, fault_s=1.0, calm_s=1.3)
PULSE = [pytest.mark.pulseaudio, pytest.mark.slow]
MARKS = {
    "microphone-stalled": PULSE,
    "microphone-unplugged": PULSE,
    "worker-killed": [],
}


def cases(short: bool) -> list[object]:
    named = {drill.name: MARKS.get(drill.name, [pytest.mark.slow]) for drill in DRILLS}
    return [
        pytest.param(drill, id=drill.name, marks=named[drill.name])
        for drill in DRILLS
        if short is (named[drill.name] == [])
    ]


def check(drill: Drill, times: Times) -> None:
    """Everything but figures of time: those are this machine's, and others may be at work on it."""
    report = perform(drill, times)
    if report.verdict is Verdict.SKIPPED:
        pytest.skip(report.reason)
    broken = [c for c in report.checks if not c.passed and not c.name.startswith(TIMED)]
    assert not broken, report
    assert report.verdict is not Verdict.FAILED or report.checks, report.reason
    if drill.bound_s is not None:
        assert report.recovery_s is not None
        assert report.recovery_s < 10


TIMED = ("right masks again", "age p99 grows", "longest pause", "masks read by all", "stops")


@pytest.mark.parametrize("drill", cases(short=True))
def test_quick(drill: Drill) -> None:
    check(drill, QUICK)


@pytest.mark.parametrize("drill", cases(short=False))
def test_whole(drill: Drill) -> None:
    check(drill, Times())


def test_the_command_lists_and_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drill", "--list"]) == 0
    listed = capsys.readouterr().out
    assert all(drill.name[:12] in listed for drill in DRILLS)
    assert main(["drill", "wrker-killed"]) == 2
    assert "Did you mean 'worker-killed'?" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "out" / "drills.json"
    code = main(["drill", "worker-killed", "disk-full", "--settle-s", "1", "--json", str(path)])
    first, second = json.loads(path.read_text())["drills"]
    assert (first["name"], second["name"]) == ("worker-killed", "disk-full")
    assert first["recovery_s"] > 0
    assert any("reset" in shown for shown in first["shown"])
    if os.geteuid() != 0:
        assert second["verdict"] == "skipped"
        assert "root" in second["reason"]
    assert code == int(any(d["verdict"] == "failed" for d in (first, second)))
    assert "worker-killed" in capsys.readouterr().out
