"""`stream-avs train` and `stream-avs eval` as they are typed, on files in the AVSBench layouts."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import torch

from stream_avs.cli import main
from stream_avs.datasets.scenes import ProceduralSource, SceneConfig
from stream_avs.datasets.scenes.write import Layout, write_scenes
from stream_avs.models.checkpoint import read_description

SMALL = [
    "--network", "tiny", "--model.d", "32", "--model.heads", "2", "--model.ffn", "32",
    "--model.generator-ffn", "32", "--model.ici-layers", "1", "--model.mask-hidden", "8",
    "--model.input-px", "32", "--max-steps", "2", "--batch", "2", "--epochs", "1", "--workers", "0",
    "--threads", "1", "--no-tensorboard", "--device", "cpu",
]  # fmt: skip
SCENES = [
    "--preset", "scenes-tiny", *SMALL, "--data.scenes.train-clips", "4", "--data.scenes.val-clips", "2",
    "--data.scenes.test-clips", "2",
]  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Six composed clips as S4, MS3 and AVSS; frames are larger than the network's input."""
    root = tmp_path_factory.mktemp("sets")
    source = ProceduralSource()
    sources = {"train": source, "val": source, "test": source}
    look = SceneConfig(size_px=48, p_silence=0.4)
    return {
        str(layout): write_scenes(root / str(layout), layout, sources, clips=12, config=look)
        for layout in Layout
    }


def train(*argv: str) -> int:
    return main(["train", *argv])


@pytest.mark.parametrize("kind", ["s4", "ms3", "avss"])
def test_train_and_eval_on_files(
    kind: str, roots: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, root = tmp_path / "run", str(roots[kind])
    classes = ["--model.classes", "7"] if kind == "avss" else []
    assert train("--preset", kind, "--root", root, "--out", str(out), *SMALL, *classes) == 0
    printed = capsys.readouterr().out
    for split in ("val", "test"):
        assert re.search(
            rf"{kind} {split} · .* · 32 x 32 px · batch 1 · per clip · 2 clips, \d+ frames", printed
        )
    report = json.loads((out / "report.json").read_text())
    assert [r["split"] for r in report["reports"]] == ["val", "test"]
    assert report["reports"][1]["frames"] == 10

    assert main(["eval", str(out / "best.safetensors"), "--kind", kind, "--root", root, "--json"]) == 0
    scored = json.loads(capsys.readouterr().out)
    assert (scored["dataset"], scored["split"], scored["clips"], scored["batch_clips"]) == (
        kind,
        "test",
        2,
        1,
    )
    assert scored["scores"] == pytest.approx(report["reports"][1]["scores"])
    j = "miou" if kind == "avss" else "j"
    assert {j, "f", "silent_alarm_rate", "silent_alarm_area"} <= scored["scores"].keys()


def test_checkpoint_says_what_it_is(roots: dict[str, Path], tmp_path: Path) -> None:
    out, root = tmp_path / "run", str(roots["avss"])
    train("--preset", "avss", "--root", root, "--out", str(out), *SMALL, "--model.classes", "7", "--no-test")
    described = read_description(out / "best.safetensors")
    assert described.labels[:2] == ("background", "red disc")
    assert described.config.classes == 7
    assert described.about["training"]["data"]["kind"] == "avss"
    assert str(tmp_path) not in json.dumps(described.about)


def test_report_page_stands_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(*SCENES, "--out", str(tmp_path / "run"), "--pictures", "2") == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    said = ("scenes test ·", "32 x 32 px", "batch 1", "2 clips", "training loss", "<polyline")
    assert [text for text in said if text not in page] == []
    assert not re.search(r'(src|href)="(?!data:)', page)
    report = str(tmp_path / "run" / "report.html")
    assert report in capsys.readouterr().out


def test_eval_hears_other_sound_and_scores_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    train(*SCENES, "--out", str(out), "--no-test", "--data.scenes.test-clips", "4")
    best = str(out / "best.safetensors")
    capsys.readouterr()
    texts = []
    for extra in (
        [], ["--batch", "3"], ["--sound", "silence"], ["--tpavi", "--batch", "4"], ["--input-px", "48"],
    ):  # fmt: skip
        assert main(["eval", best, *extra]) == 0
        texts.append(capsys.readouterr().out)
    own, batched, silent, tpavi, large = texts
    assert "4 clips, 12 frames" in own
    assert own.splitlines()[1:] == batched.splitlines()[1:]
    assert "heard: silence" in silent
    assert silent.splitlines()[1:5] != own.splitlines()[1:5]
    assert "batch 4 · tpavi, per batch" in tpavi
    assert "48 x 48 px" in large
    page = tmp_path / "pages" / "eval.html"
    assert main(["eval", str(out / "last.safetensors"), "--limit", "1", "--html", str(page)]) == 0
    assert page.read_text().count("data:image/png") == 1


def test_curves_and_overlays_are_written(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "run"
    assert train(*SCENES, "--out", str(out), "--tensorboard", "--no-test", "--pictures", "1") == 0
    events = EventAccumulator(str(out / "curves"))
    events.Reload()
    assert [e.step for e in events.Scalars("train/loss")] == [1, 2]
    assert {"train/learning_rate", "val/J", "val/F"} <= set(events.Tags()["scalars"])
    (image,) = events.Images("val/scene_val_000000")
    assert (image.width, image.height) == (3 * 34 - 2, 3 * 34 - 2)


def refused(capsys: pytest.CaptureFixture[str], code: int, says: str, *argv: str) -> None:
    """The command ends with `code` and one line that says all of `says`, words apart by " .. "."""
    assert main(list(argv)) == code
    err = capsys.readouterr().err.strip()
    assert err.startswith("stream-avs: error: ")
    assert "\n" not in err
    missing = [part for part in says.split(" .. ") if part not in err]
    assert not missing, err


def test_mistakes_of_train_are_one_line(
    roots: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "run")]
    refused(capsys, 2, "nothing says what to train .. scenes-tiny", "train")
    refused(capsys, 2, "no recipe 's3'", "train", "--preset", "s3", *out)
    refused(capsys, 2, "s4 needs a folder .. --root", "train", "--preset", "s4", *out)
    refused(
        capsys,
        7,
        "/no is not a folder",
        "train",
        "--preset",
        "s4",
        "--root",
        str(tmp_path / "no"),
        *out,
        *SMALL,
    )
    refused(
        capsys, 7, "no s4_meta_data.csv", "train", "--preset", "s4", "--root", str(roots["ms3"]), *out, *SMALL
    )
    refused(
        capsys,
        2,
        "network has 71 classes, the data set 7",
        "train",
        "--preset",
        "avss",
        "--root",
        str(roots["avss"]),
        *out,
        *SMALL,
    )
    refused(capsys, 2, "model.frames is 0", "train", *SCENES, *out, "--model.frames", "0")
    refused(
        capsys,
        2,
        "clips have 5 frames, training unrolls 4",
        "train",
        "--preset",
        "s4",
        "--root",
        str(roots["s4"]),
        *out,
        *SMALL,
        "--model.frames",
        "4",
    )
    refused(capsys, 2, "4 clips, fewer than one batch of 8", "train", *SCENES, *out, "--batch", "8")
    (tmp_path / "file").write_text("")
    refused(capsys, 2, "cannot write to .. --out", "train", *SCENES, "--out", str(tmp_path / "file" / "run"))
    refused(capsys, 2, "no run in", "train", "--resume", str(tmp_path / "nowhere"))
    refused(capsys, 2, "cuda:77", "train", *SCENES, *out, "--device", "cuda:77")
    refused(capsys, 2, "none.yaml does not exist", "train", "--config", str(tmp_path / "none.yaml"), *out)


def test_missing_weights_and_packages_say_how_to_get_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = ["--out", str(tmp_path / "run")]
    weights = ["--pretrained", "--model.image-encoder", "pvt_v2_b0", "--weights-dir", str(tmp_path)]
    refused(capsys, 4, "pvt_v2_b0 .. stream-avs weights", "train", *SCENES, *out, *weights)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    refused(capsys, 8, "stream-avs[train] .. --no-tensorboard", "train", *SCENES, *out, "--tensorboard")


def test_resume_keeps_to_its_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "run")
    assert train(*SCENES, "--out", out, "--no-test", "--max-steps", "1") == 0
    capsys.readouterr()
    refused(capsys, 2, f"stream-avs train --resume {out}", "train", *SCENES, "--out", out)
    refused(capsys, 2, "batch 2, not 4", "train", "--resume", out, "--batch", "4")
    refused(capsys, 2, "--preset does not go with --resume", "train", "--resume", out, "--preset", "s4")
    assert train("--resume", out, "--max-steps", "2") == 0
    assert "scenes val · tiny + tiny, step" in capsys.readouterr().out


def test_yaml_of_a_run_repeats_it(tmp_path: Path) -> None:
    assert train(*SCENES, "--out", str(tmp_path / "a"), "--no-test") == 0
    assert train("--config", str(tmp_path / "a" / "config.yaml"), "--out", str(tmp_path / "b")) == 0
    a, b = ((tmp_path / name / "log.jsonl").read_text() for name in "ab")
    assert a == b
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "model: {iti: false, input_px: 32}\nepochs: 1\ntensorboard: false\nmax_steps: 1\ntest: false\n"
    )
    few = ["--data.scenes.train-clips", "8", "--data.scenes.val-clips", "1"]
    argv = ["--preset", "scenes-tiny", "--config", str(mine), "--out", str(tmp_path / "c"), *few]
    assert train(*argv) == 0
    assert not read_description(tmp_path / "c" / "best.safetensors").config.iti


def test_mistakes_of_eval_are_one_line(
    roots: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    train("--preset", "s4", "--root", str(roots["s4"]), "--out", str(out), *SMALL, "--no-test")
    best = str(out / "best.safetensors")
    capsys.readouterr()
    refused(capsys, 4, "does not exist", "eval", str(tmp_path / "no.safetensors"))
    refused(capsys, 2, "s4 needs a folder", "eval", best)
    refused(capsys, 7, "s4_meta_data.csv", "eval", best, "--root", str(roots["avss"]))
    refused(capsys, 2, "split is 'tests'", "eval", best, "--root", str(roots["s4"]), "--split", "tests")
    (tmp_path / "file").write_text("")
    refused(
        capsys,
        2,
        "cannot write to",
        "eval",
        best,
        "--root",
        str(roots["s4"]),
        "--html",
        str(tmp_path / "file" / "x.html"),
    )
    semantic = tmp_path / "semantic"
    source = [
        "--preset",
        "scenes-tiny",
        *SCENES[2:],
        "--model.classes",
        "7",
        "--out",
        str(semantic),
        "--no-test",
    ]
    assert train(*source) == 0
    capsys.readouterr()
    refused(
        capsys,
        7,
        "",
        "eval",
        str(semantic / "best.safetensors"),
        "--kind",
        "scenes",
        "--root",
        str(tmp_path / "nothing"),
    )
