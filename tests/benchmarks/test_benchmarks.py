"""The benchmarks measure what they say; their figures are not judged here, machines differ."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from stream_avs.benchmarks.machine import quantiles
from stream_avs.benchmarks.overhead import Reader, measure_overhead
from stream_avs.cli import main


def test_quantiles() -> None:
    q = quantiles([float(v) for v in np.arange(101)])
    assert (q.n, q.p50_ms, q.p95_ms, q.p99_ms, q.max_ms) == (101, 50, 95, 99, 100)


def test_every_reader_is_measured_and_the_slow_one_sees_fewer() -> None:
    run = measure_overhead((Reader(name="fast"), Reader(name="slow", pause_s=0.5)), duration_s=4)
    fast, slow = run.readers
    assert run.captured == 120
    assert fast.added.n > 40
    assert 1 <= slow.added.n <= 8
    assert 0 < fast.added.p50_ms < 100


def test_no_sample_of_many_readers_is_lost() -> None:
    readers = tuple(Reader(name=f"reader {i}") for i in range(9))
    run = measure_overhead(readers, fps=40.0, duration_s=9)
    assert all(r.added.n > 200 for r in run.readers)  # of 315 each; a full pipe left 150


def test_an_unwritable_report_is_refused_before_measuring(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "overhead", "--json", "/proc/nowhere/x.json"]) == 5
    assert "cannot write /proc/nowhere/x.json" in capsys.readouterr().err


def test_bench_writes_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bench.json"
    code = main(["bench", "overhead", "--duration-s", "3", "--json", str(path)])
    assert code in (0, 1)  # 1: this machine breaks a bound; said in the table and not a fault of the code
    report = json.loads(path.read_text())
    assert report["machine"]["cores"] >= 1
    assert report["overhead"][0]["readers"][0]["added"]["n"] > 0
    assert "added p50" in capsys.readouterr().out


def test_engine_bench_counts_times_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, plot = tmp_path / "bench.json", tmp_path / "bench.png"
    options = ["--engine.presets", "tiny", "--engine.backends", "eager", "--engine.rounds", "3"]
    options += ["--engine.batches", "1", "2", "--engine.precisions", "f32", "--engine.threads", "1"]
    assert main(["bench", "engine", *options, "--engine.plot", str(plot), "--json", str(path)]) == 0
    rows = json.loads(path.read_text())["engine"]
    assert [(r["mode"], r["batch"]) for r in rows] == [
        ("causal", 1), ("causal", 2), ("window", 1), ("window", 2)
    ]  # fmt: skip
    for row in rows:
        assert row["naive_gmac"] / row["gmac"] > (4.5 if row["mode"] == "causal" else 3)
        assert row["step"]["n"] == row["naive"]["n"] == 3
        assert row["stream_mb"] > 0.1
        assert 0 < row["peak_share"] < 2
        assert 0 < row["deformable_share"] < 1.5
        assert row["backend"] == "eager"
    assert plot.read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "tiny 64 causal eager f32 x2" in printed
    assert "tensorrt: not measured" in printed


def test_engine_bench_refuses_an_unknown_preset(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "engine", "--engine.presets", "pvt3"]) == 2
    assert "Did you mean 'pvt2'?" in capsys.readouterr().err
