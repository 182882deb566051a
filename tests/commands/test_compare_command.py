"""`stream-avs compare` from training to table and picture, stopped and gone on with."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
import torch

from stream_avs.benchmarks.compare.entries import entry
from stream_avs.benchmarks.compare.run_one import run_one
from stream_avs.benchmarks.compare.scale import Scale
from stream_avs.commands.compare import CompareConfig, run
from stream_avs.errors import ConfigError
from stream_avs.models.c3n.labels import audioset_labels
from stream_avs.models.checkpoint import load_network
from stream_avs.training.stop import StopRequest

torch.set_num_threads(1)
SCALE = Scale(
    epochs=2, train_clips=8, batch=4, input_px=32, frames=2, val_clips=2, test_clips=3, quiet_clips=2,
    streams=1, stream_s=4.0,
)  # fmt: skip
FLAGS = [
    text
    for name in ("epochs", "train-clips", "batch", "input-px", "frames", "val-clips", "test-clips",
                 "quiet-clips", "streams", "stream-s")
    for text in (f"--scale.{name}", str(getattr(SCALE, name.replace("-", "_"))))
]  # fmt: skip


def compare(out: Path, *more: str) -> int:
    return run(["--out", str(out), "--seeds", "1", "--rounds", "2", *FLAGS, *more])


def test_two_networks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot, table = tmp_path / "plot.png", tmp_path / "table.md"
    assert compare(tmp_path, "--entries", "tpavi", "--rounds", "0") == 0
    first = json.loads((tmp_path / "results.json").read_text())
    assert [run["entry"] for run in first["runs"]] == ["tpavi"]
    assert first["costs"] == []

    # another entry is added; what is there is not trained again
    arguments = ("--entries", "tpavi", "c3n", "--plot", str(plot), "--table", str(table))
    assert compare(tmp_path, *arguments) == 0
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["runs"][0] == first["runs"][0]
    assert [run["entry"] for run in content["runs"]] == ["tpavi", "c3n"]
    assert [cost["entry"] for cost in content["costs"]] == ["tpavi", "c3n"]
    assert all(cost["mmac"] > 1 and cost["ms"] > 0 for cost in content["costs"])
    assert content["runs"][1]["steps"] == 4
    assert cv2.imread(str(plot)) is not None
    printed = capsys.readouterr().out
    assert "| C3N, told the classes |" in printed
    assert table.read_text() in printed

    assert run(["--show", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out == table.read_text()
    with pytest.raises(ConfigError, match=r"scale\.batch"):
        compare(tmp_path, "--entries", "tpavi", "--scale.batch", "2")


def test_c3n_with_a_tagger_is_compared_where_it_is_named(tmp_path: Path) -> None:
    assert "c3n-mn04" not in CompareConfig().entries
    found = run_one(entry("c3n-mn04"), 0, replace(SCALE, stream_s=8.0), tmp_path, StopRequest())
    assert found is not None
    assert 0 <= found.scores["j"] <= 1
    assert found.counts["switches"] >= 1  # streams are composed at the rate the tagger hears
    network = load_network(tmp_path / "c3n-mn04-0" / "best.safetensors").network
    similarity = network.get_buffer("similarity")
    assert similarity.shape == (6, 527)
    assert torch.equal(similarity.amax(0), torch.ones(527))
    sine_wave = audioset_labels().index("Sine wave")
    assert similarity[0, sine_wave] == 1  # a red disc, and nothing else, is a pure low tone


def test_a_stopped_run_goes_on_to_the_same_end(tmp_path: Path) -> None:
    chosen = entry("tpavi")
    whole = run_one(chosen, 0, SCALE, tmp_path / "whole", StopRequest())

    class AfterTwoSteps(StopRequest):
        asked = 0

        def __bool__(self) -> bool:
            self.asked += 1
            return self.asked > 2

    assert run_one(chosen, 0, SCALE, tmp_path / "parts", AfterTwoSteps()) is None
    parts = run_one(chosen, 0, SCALE, tmp_path / "parts", StopRequest())
    assert whole is not None
    assert parts is not None
    assert parts.scores == pytest.approx(whole.scores, nan_ok=True)
    assert (parts.steps, parts.best_step) == (whole.steps, whole.best_step)


def test_asks_for_entries_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="tpavy"):
        compare(tmp_path, "--entries", "tpavy")


def test_a_signal_ends_it_cleanly(tmp_path: Path) -> None:
    stop = StopRequest()
    stop.signal = signal.SIGTERM
    assert run_one(entry("tpavi"), 0, SCALE, tmp_path, stop) is None
    assert (tmp_path / "tpavi-0" / "last.safetensors").exists()
