"""`stream-avs doctor` reports what is there and says how to get what is not."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from stream_avs.commands import doctor


def test_json_names_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    code = doctor.run(["--json"])
    report = json.loads(capsys.readouterr().out)
    by_name = {c["name"]: c for c in report["checks"]}
    assert {"torch", "sounddevice", "cameras", "microphones", "weights", "rclpy"} <= by_name.keys()
    assert by_name["torch"]["found"].startswith("2.13")
    assert "espnetv2" in by_name["weights"]["found"]
    needed_and_missing = [c for c in report["checks"] if c["required"] and c["status"] == "missing"]
    assert code == (1 if needed_and_missing else 0)


def test_a_calibration_file_is_shown_with_its_shift_and_age(capsys: pytest.CaptureFixture[str]) -> None:
    example = Path(__file__).parents[2] / "calib" / "examples" / "av_calib.yaml"
    doctor.run(["--calibration", str(example)])
    line = next(line for line in capsys.readouterr().out.splitlines() if " calibration " in line)
    assert " ms" in line
    assert "day" in line


def test_a_missing_package_is_named_with_the_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)  # what Python does for a module that cannot be imported
    assert doctor.run([]) == 1
    out = capsys.readouterr().out
    line = next(line for line in out.splitlines() if " av " in line)
    assert line.startswith(" ✗ av")
    assert "pip install 'stream-avs[live]'" in line
    assert "needed and missing: av" in out
