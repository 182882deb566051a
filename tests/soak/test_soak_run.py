"""A real session, watched for a few seconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stream_avs.cli import main
from stream_avs.errors import ConfigError, StreamAvsError
from stream_avs.soak.config import SoakConfig
from stream_avs.soak.run import options_of
from stream_avs.soak.sample import read_samples
from stream_avs.soak.session import Session, parse


def lines_of(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_ctrl_c_ends_session_and_gives_the_report_so_far(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stream_avs", "soak", "--source", "synthetic", "--rate-hz", "10"]
    options = ["--minutes", "10", "--every-s", "0.5", "--out", str(tmp_path), "--", "--model.threads", "1"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as soak:
        deadline_s = time.monotonic() + 60
        while lines_of(tmp_path / "samples.jsonl") < 6 and time.monotonic() < deadline_s:
            time.sleep(0.1)
        soak.send_signal(signal.SIGINT)
        table, _ = soak.communicate(timeout=30)
    head, samples = read_samples(tmp_path / "samples.jsonl")
    assert len(samples) >= 5
    assert samples[-1].masks > samples[0].masks > 0
    assert sum(s.received for s in samples) > 0
    assert all(s.resident_mb > 100 and s.files > 3 and s.threads > 2 for s in samples)
    assert samples[-1].source == "live"
    assert head["options"][-2:] == ["--model.threads", "1"]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["ended_early"] == "interrupted"
    assert soak.returncode == int(not report["passed"])
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")
    assert "resident memory" in table
    assert not _runs(tmp_path)


def _runs(folder: Path) -> bool:
    """Whether a process still writes the log of a session in `folder`."""
    return any(
        os.path.realpath(link) == str(folder / "session.log")
        for link in Path("/proc").glob("[0-9]*/fd/*")
        if os.access(link, os.R_OK)
    )


def test_a_killed_run_is_judged_by_what_it_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample = {
        "at_s": 10.0, "frames": 100, "masks": 40, "received": 40, "masks_per_s": 4.0, "age_p50_ms": 50.0,
        "age_p99_ms": 80.0, "age_max_ms": 81.0, "age_bins": {"440": 40}, "silence_s": 0.3,
        "events": {"superseded": 10}, "source": "live", "rung": "full", "resident_mb": 300.0,
        "heap_mb": 100.0, "files": 9, "threads": 9, "cpu_cores": 1.0, "machine_cores": 1.0,
    }  # fmt: skip
    whole = json.dumps(sample) + "\n"
    (tmp_path / "samples.jsonl").write_text('{"options": []}\n' + whole + whole[:50])
    assert main(["soak", "--judge", "--out", str(tmp_path)]) == 1
    assert "50" in capsys.readouterr().out  # frames that are neither mask nor drop
    report = json.loads((tmp_path / "report.json").read_text())
    assert [c["name"] for c in report["checks"] if c["passed"] is False] == ["frames without mask or reason"]


def test_folders_without_a_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        read_samples(tmp_path / "samples.jsonl")
    (tmp_path / "samples.jsonl").write_text("[1]\n{}\n")
    with pytest.raises(ConfigError, match="holds no samples"):
        read_samples(tmp_path / "samples.jsonl")


def test_a_session_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    with (
        Session(["--source", "camera:93"], tmp_path / "log") as session,
        pytest.raises(StreamAvsError, match=r"ended with code 3; it said: .*camera 93"),
    ):
        session.wait_ready(60)


@pytest.mark.parametrize("after_s", [0.0, 1.0])
def test_a_session_does_not_outlive_whoever_watches_it(tmp_path: Path, after_s: float) -> None:
    code = """
import os, pathlib, signal, sys, time
from stream_avs.soak.session import Session
Session(["--source", "synthetic"], pathlib.Path(sys.argv[1]) / "session.log")
time.sleep(float(sys.argv[2]))
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path), str(after_s)], timeout=30)
    assert killed.returncode == -signal.SIGKILL
    deadline_s = time.monotonic() + 10
    while _runs(tmp_path):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_options_of_the_session(talkers: Path) -> None:
    assert options_of(SoakConfig(preset="nano")) == [
        "--source", str(talkers), "--media.loop", "--model.preset", "nano"
    ]  # fmt: skip
    synthetic = SoakConfig(source="synthetic", rate_hz=12.5, options=("--name", "x"))
    assert options_of(synthetic) == ["--source", "synthetic", "--synthetic.fps", "12.5", "--name", "x"]
    with pytest.raises(ConfigError, match="rate_hz"):
        SoakConfig(rate_hz=5)


def test_figures_are_read_from_the_text_of_metrics() -> None:
    figures = parse('# HELP a\na_total 3\nb{event="x",c="1"} 2.5\nb{event="y \\" z"} 1\nc +Inf\n')
    assert figures.of("a_total") == 3
    assert figures.of("nothing") == 0
    assert figures.labels("b") == {"x": 2.5, 'y \\" z': 1}
    assert figures.current("b") == 'y \\" z'
    assert figures.of("c") == float("inf")
