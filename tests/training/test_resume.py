"""A run that stops, however it stops, goes on as if it had not."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_runs import assert_same_state, run, tiny_config

from stream_avs.errors import ConfigError, WeightsError
from stream_avs.training.history import read_history
from stream_avs.training.run_folder import RunFolder
from stream_avs.training.state import read_state
from stream_avs.training.stop import StopRequest, stop_request

DROPOUT = {"dropout": 0.1}  # so that the random state matters


class StopAfter(StopRequest):
    """Asks to stop once so many steps are done; it is looked at before each step."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.left = steps

    def __bool__(self) -> bool:
        self.left -= 1
        return self.left < 0


def last(out: Path) -> Path:
    return RunFolder(path=out).last


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six steps in one go, the fourth to sixth with the image encoder trained too."""
    out = tmp_path_factory.mktemp("whole")
    assert run(tiny_config(out, DROPOUT, augment=True, frozen_image_epochs=1)).finished
    return out


@pytest.mark.parametrize("first", [1, 3, 4])
def test_resumed_run_equals_uninterrupted_bit_for_bit(whole: Path, tmp_path: Path, first: int) -> None:
    config = tiny_config(tmp_path, DROPOUT, augment=True, frozen_image_epochs=1)
    begun = run(config, stop=StopAfter(first))
    assert (begun.finished, begun.progress.step) == (False, first)

    outcome = run(config, resume=True)

    assert (outcome.finished, outcome.progress.step) == (True, 6)
    assert_same_state(last(tmp_path), last(whole))
    assert read_history(tmp_path / "log.jsonl") == read_history(whole / "log.jsonl")


def test_workers_do_not_change_the_course(whole: Path, tmp_path: Path) -> None:
    run(tiny_config(tmp_path, DROPOUT, augment=True, frozen_image_epochs=1, workers=2))
    mine, theirs = read_history(tmp_path / "log.jsonl"), read_history(whole / "log.jsonl")
    assert mine == theirs


def test_another_seed_takes_another_course(whole: Path, tmp_path: Path) -> None:
    run(tiny_config(tmp_path, DROPOUT, augment=True, frozen_image_epochs=1, seed=1, max_steps=1))
    assert read_history(tmp_path / "log.jsonl")[0]["loss"] != read_history(whole / "log.jsonl")[0]["loss"]


def command(out: Path, *extra: str) -> list[str]:
    network = ["d=32", "heads=2", "ffn=32", "generator-ffn=32", "ici-layers=1", "mask-hidden=8"]
    flags = [f"--model.{setting}".replace("=", " ").split() for setting in [*network, "input-px=32"]]
    return [
        sys.executable, "-m", "stream_avs", "train", "--preset", "scenes-tiny", "--out", str(out),
        "--batch", "4", "--epochs", "200", "--checkpoint-steps", "1", "--no-tensorboard",
        "--data.scenes.train-clips", "12", "--data.scenes.val-clips", "2", "--data.scenes.test-clips", "2",
        "--model.dropout", "0.1", *(part for flag in flags for part in flag), *extra,
    ]  # fmt: skip


def wait_for_change(path: Path, process: subprocess.Popen[str], seconds: float = 120) -> None:
    """Wait until the file is another one: each checkpoint is renamed into its place."""

    def inode() -> int:
        return path.stat().st_ino if path.exists() else 0

    before, end = inode(), time.monotonic() + seconds
    while inode() == before:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, f"{path} did not change"
        time.sleep(0.01)


@pytest.mark.slow
def test_killed_at_any_moment_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    out, same = tmp_path / "killed", tmp_path / "whole"
    resume = [sys.executable, "-m", "stream_avs", "train", "--resume", str(out)]
    for argv, moment_s in ((command(out), 0.0), (resume, 0.33), (resume, 0.71)):
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_for_change(last(out), process)
        time.sleep(moment_s)
        process.kill()
        process.communicate()
    state = read_state(last(out))
    assert state.progress.step >= 3

    to_the_end = replace(state.config, max_steps=state.progress.step + 2)
    run(to_the_end, resume=True)
    run(replace(to_the_end, out=str(same)))

    assert not list(out.glob(".*.partial"))
    assert_same_state(last(out), last(same))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.slow
def test_a_signal_leaves_a_checkpoint_and_says_how_to_go_on(tmp_path: Path, number: int, code: int) -> None:
    process = subprocess.Popen(command(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for_change(last(tmp_path), process)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == code
    assert f"stream-avs train --resume {tmp_path}" in err
    assert "Traceback" not in err
    stopped = int(err.split("stopped after step ")[1].split()[0])
    assert read_state(last(tmp_path)).progress.step == stopped


def test_second_signal_insists() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_request() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.exit_code == 143
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before


def test_run_folder_is_not_overwritten_by_mistake(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds a run already.*--resume"):
        RunFolder(path=whole).open(resume=False)
    with pytest.raises(ConfigError, match=r"no run in .* to resume"):
        RunFolder(path=tmp_path).open(resume=True)


def test_damaged_state_is_refused(whole: Path, tmp_path: Path) -> None:
    cut = tmp_path / "last.safetensors"
    cut.write_bytes(last(whole).read_bytes()[:-1000])
    with pytest.raises(WeightsError, match=r"last\.safetensors cannot be read"):
        read_state(cut)
    with pytest.raises(WeightsError, match=r"best\.safetensors is no training state"):
        read_state(whole / "best.safetensors")
