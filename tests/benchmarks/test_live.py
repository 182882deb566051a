"""The live path is measured as a whole; its figures are not judged here, machines differ."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest

from stream_avs.benchmarks.clip import clip_at
from stream_avs.cli import main


def test_the_source_is_as_long_and_as_fast_as_asked(talkers: Path) -> None:
    with clip_at(talkers, 10.0, (64, 48), 14.0) as path, av.open(str(path)) as container:
        pictures = [(float(f.time), f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
        assert [t for t, _ in pictures] == pytest.approx([k / 10 for k in range(140)], abs=0.03)
        assert {p.shape for _, p in pictures} == {(48, 64, 3)}
        # the clip lasts 12 s: then it begins again
        again = np.abs(pictures[125][1].astype(int) - pictures[5][1]).mean()
        other = np.abs(pictures[125][1].astype(int) - pictures[65][1]).mean()
        assert again < 0.5 * other
    assert not path.exists()
    with clip_at(talkers, 10.0, (64, 48), 2.0) as path, av.open(str(path)) as container:
        seconds = sum(f.samples / f.sample_rate for f in container.decode(audio=0))
    assert seconds == pytest.approx(2.0, abs=0.1)


@pytest.mark.slow
def test_bench_live_reports_what_the_reader_saw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "live.json"
    options = ["--preset", "consensus", "--fps", "5", "--live.width-px", "64", "--live.height-px=48"]
    assert main(["bench", "live", *options, "--busy-core", "--duration-s", "4", "--json", str(path)]) == 0
    live = json.loads(path.read_text())["live"]
    assert (live["fps"], live["width_px"], live["busy_core"]) == (5.0, 64, True)
    assert live["age"]["n"] == live["states"]["ok"] + live["states"].get("reset", 0)
    assert 0 < live["masks_per_s"] <= 6
    assert live["captured"] >= 5 * 4
    assert "one core kept busy" in capsys.readouterr().out
