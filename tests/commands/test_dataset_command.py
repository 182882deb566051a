"""`stream-avs dataset` as it is typed: what it prints, what it writes, what it returns."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stream_avs.cli import main
from stream_avs.datasets.avsbench_avss import AvssDataset
from stream_avs.datasets.avsbench_s4 import S4Dataset


def write(out: Path, kind: str) -> list[str]:
    settings = ["--clips", "6", "--seed", "1", "--size-px", "32"]
    return ["dataset", "write-scenes", str(out), "--kind", kind, *settings]


@pytest.mark.parametrize("kind", ["s4", "ms3", "avss"])
def test_what_is_written_passes_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    assert main(write(tmp_path / "set", kind)) == 0
    assert f"wrote 6 clips as {kind}" in capsys.readouterr().out
    assert main(["dataset", "check", str(tmp_path / "set")]) == 0
    printed = capsys.readouterr().out
    assert "no problem found" in printed
    for split, clips in (("train", 4), ("val", 1), ("test", 1)):
        assert f"{kind:<5}{split:<6}{clips:>6} clips" in printed


def test_every_problem_is_listed_and_the_exit_code_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "set"
    main(write(root, "s4"))
    clip = S4Dataset(root, "val").clips[0]
    clip.frames[2].unlink()
    assert clip.masks[1] is not None
    clip.masks[1].write_bytes(b"no picture")
    shutil.rmtree(S4Dataset(root, "test").clips[0].folder)
    table = root / "s4_meta_data.csv"
    first = table.read_text(encoding="utf-8").splitlines()[1]
    table.write_text(table.read_text(encoding="utf-8") + first + "\n", encoding="utf-8")
    capsys.readouterr()
    assert main(["dataset", "check", str(root), "--kind", "s4"]) == 7
    printed = capsys.readouterr().out
    assert f"{clip.name}_3.png does not exist" in printed
    assert f"{clip.name}_2.png is not a picture" in printed
    assert "names it, but" in printed
    assert "names it again, after s4_meta_data.csv line 2" in printed
    assert "4 problems found" in printed


def test_all_sets_below_a_folder_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("s4", "ms3"):
        main(write(tmp_path / kind, kind))
    assert main(["dataset", "check", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "s4   train " in printed
    assert "ms3  train " in printed


def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dataset", "check", str(tmp_path)]) == 7
    assert "holds none of s4_meta_data.csv, ms3_meta_data.csv, metadata.csv" in capsys.readouterr().err
    for kind in ([], ["--kind", "s4"]):
        assert main(["dataset", "check", str(tmp_path / "gone"), *kind]) == 7
        assert "gone is not a folder" in capsys.readouterr().err
    for name in ("a", "b"):
        (tmp_path / "two" / name).mkdir(parents=True)
        (tmp_path / "two" / name / "s4_meta_data.csv").touch()
    assert main(["dataset", "check", str(tmp_path / "two")]) == 7
    assert "holds 2 files s4_meta_data.csv" in capsys.readouterr().err
    (tmp_path / "mine").touch()
    assert main(write(tmp_path, "s4")) == 2
    assert "is not empty" in capsys.readouterr().err
    assert main([*write(tmp_path / "new", "s4"), "--assets", str(tmp_path)]) == 7
    assert "sound_classes.json does not exist" in capsys.readouterr().err


def test_avss_keeps_the_names_of_the_classes(tmp_path: Path) -> None:
    main(write(tmp_path / "set", "avss"))
    assert AvssDataset(tmp_path / "set", "train").class_names[1] == "red disc"
