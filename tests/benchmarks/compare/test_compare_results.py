"""The results file, the tables and the picture."""

from __future__ import annotations

import math
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import pytest

from stream_avs.benchmarks.compare.plot import draw_results, plot_results
from stream_avs.benchmarks.compare.results import (
    METRICS,
    Cost,
    Results,
    RunResult,
    open_results,
    read_results,
    rebuild,
    write_results,
)
from stream_avs.benchmarks.compare.scale import Scale
from stream_avs.benchmarks.compare.table import to_markdown
from stream_avs.benchmarks.machine import this_machine
from stream_avs.errors import ConfigError, PublishError

SCALE = Scale(epochs=1)


def run_of(entry: str, seed: int, j: float, **scores: float) -> RunResult:
    values = {metric.key: 0.5 for metric in METRICS} | {"j": j} | scores
    counts = {"frames": 300, "silent_frames": 150, "off_screen_frames": 150, "switches": 40}
    return RunResult(
        entry=entry, seed=seed, steps=50, best_step=50, train_cpu_s=1.5, scores=values, counts=counts
    )


def some() -> Results:
    results = Results(scale=SCALE, machine=this_machine())
    for seed in range(3):
        results = results.with_run(run_of("ccformer", seed, 0.80 + 0.01 * seed))
        results = results.with_run(run_of("tpavi", seed, 0.70, switch_s=math.nan))
        results = results.with_run(run_of("ccformer-no-bcl", seed, 0.75 + 0.01 * seed))
    costs = (Cost(entry="ccformer", parameters=1_275_220, mmac=58.8, ms=19.5, cpu_ms=12.0, rounds=40),)
    return results.with_costs(costs)


def test_reads_what_it_wrote(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "results.json"
    write_results(path, some())
    again = read_results(path)
    assert again.scale == SCALE
    assert again.costs == some().costs
    assert again.has("tpavi", 2)
    assert not again.has("tpavi", 3)
    assert math.isnan(again.runs[1].scores["switch_s"])
    write_results(path, again)
    assert to_markdown(read_results(path)) == to_markdown(some())


def test_says_how_to_make_it_again() -> None:
    command = rebuild(some())
    assert command == "stream-avs compare --entries ccformer tpavi ccformer-no-bcl --seeds 3 --scale.epochs 1"


def test_another_scale_does_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_results(path, some())
    assert len(open_results(path, SCALE).runs) == 9
    with pytest.raises(ConfigError, match=r"scale\.batch 8, not 4"):
        open_results(path, replace(SCALE, batch=4))
    assert open_results(tmp_path / "none.json", SCALE).runs == ()


@pytest.mark.parametrize(
    "content", ["", "[]", '{"format": 1}', '{"format": 9}', '{"format": 1, "scale": {"x": 1}}']
)
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"results\.json|scale|'x'"):
        read_results(path)


def test_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json"):
        read_results(tmp_path / "none.json")


def test_tables() -> None:
    text = to_markdown(some())
    assert "9 runs, 3 seeds" in text
    rows = {
        line.split("|")[1].strip(): [c.strip() for c in line.split("|")[2:-1]]
        for line in text.splitlines()
        if "|" in line
    }
    network = next(line for line in text.splitlines() if line.startswith("| CCFormer | 81.0 ± 1.0 |"))
    assert network.endswith("| - | 1.28 | 58.8 | 12.0 | 3 |")
    assert rows["TPAVI"][0] == "70.0 ± 0.0"
    assert rows["TPAVI"][6] == "-"  # never followed a switch
    without = rows["without BCL (IV)"]
    assert without[8:10] == ["-5.0 ± 0.0 *", "-1.4, -1.2"]
    assert rows["full"][8] == "-"


@pytest.mark.parametrize(("raw", "table"), [("results", "RESULTS"), ("results_long", "RESULTS_LONG")])
def test_the_kept_tables_are_those_of_the_kept_runs(raw: str, table: str) -> None:
    folder = files("stream_avs.benchmarks.compare")
    results = read_results(Path(str(folder / f"{raw}.json")))
    assert to_markdown(results) == (folder / f"{table}.md").read_text(encoding="utf-8")


def test_the_picture_shows_the_mean(tmp_path: Path) -> None:
    image = draw_results(some())
    blue = (image == np.array([180, 110, 30], np.uint8)).all(2)  # bars of networks
    first, second = (blue[54 + 30 * row : 84 + 30 * row, 330:462].any(0).sum() for row in (0, 1))
    assert second / first == pytest.approx(0.70 / 0.81, abs=0.03)
    plot_results(some(), tmp_path / "plot.png")
    assert np.array_equal(cv2.imread(str(tmp_path / "plot.png")), image)
    with pytest.raises(PublishError):
        plot_results(some(), tmp_path / "none" / "plot.png")
