"""Sessions of a live preset are stepped and counted; their figures are not judged here, machines differ."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from stream_avs.benchmarks.sessions import held
from stream_avs.cli import main
from stream_avs.models.nano.senses import Sound


def test_what_a_state_holds_counts_once() -> None:
    array, tensor = np.zeros(10), torch.zeros(3, 2)
    state = {"a": (array, [array]), "b": Sound(evidence=tensor, levels=tensor[:1]), "c": "text"}
    assert sum(held(state).values()) == 80 + 24 + 8


def test_bench_sessions_writes_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bench.json"
    options = ["--sessions.rounds", "2", "--sessions.counts", "1", "3", "--sessions.backends", "eager"]
    assert main(["bench", "sessions", *options, "--model.threads=1", "--json", str(path)]) == 0
    rows = json.loads(path.read_text())["sessions"]
    assert [(r["sessions"], r["step"]["n"], r["backend"]) for r in rows] == [(1, 2, "eager"), (3, 6, "eager")]
    assert all(r["masks_per_s"] > 0 and "see" in r["stages_ms"] for r in rows)
    assert "masks/s" in capsys.readouterr().out
