"""Reports carry what their numbers depend on, in both forms."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from stream_avs.errors import DatasetError
from stream_avs.evaluation.metrics import BinaryMetrics
from stream_avs.evaluation.report import EvalReport, scores_of

REPORT = EvalReport(
    dataset="ms3",
    split="test",
    model="pvt2-1f2e3d4c",
    width_px=224,
    height_px=224,
    batch_clips=1,
    protocol="per clip",
    clips=64,
    frames=320,
    scores={"j": 0.70712, "f": math.nan},
    notes=("selected on val",),
)


def test_the_text_says_what_the_numbers_depend_on() -> None:
    text = REPORT.to_text()
    for part in ("ms3 test", "pvt2-1f2e3d4c", "224 x 224 px", "batch 1", "per clip", "64 clips, 320 frames"):
        assert part in text
    assert "j  0.7071" in text
    assert "f  -" in text
    assert "note: selected on val" in text


def test_json_is_strict_and_comes_back() -> None:
    text = REPORT.to_json()
    assert json.loads(text)["scores"] == {"j": 0.70712, "f": None}
    back = EvalReport.from_json(text)
    assert math.isnan(back.scores["f"])
    same = {"j": 0.0, "f": 0.0}
    assert dataclasses.replace(back, scores=same) == dataclasses.replace(REPORT, scores=same)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 0}', '{"version": 1, "notes": [], "scores": {}}']
)
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(DatasetError, match="not an evaluation report"):
        EvalReport.from_json(text)


def test_scores_are_taken_by_name() -> None:
    scores = scores_of(BinaryMetrics().compute())
    assert scores["frames"] == 0.0
    assert math.isnan(scores["j"])
    with pytest.raises(TypeError, match="dict is not a score dataclass"):
        scores_of({})
