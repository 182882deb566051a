"""Two processes learn what one learns, and only one of them writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stream_avs.errors import ConfigError
from stream_avs.models.load import read_weights
from stream_avs.training.distributed import pick_device
from stream_avs.training.history import read_history
from stream_avs.training.state import read_state

FLAGS = [
    "--preset", "scenes-tiny", "--batch", "4", "--epochs", "2", "--max-steps", "4", "--no-tensorboard",
    "--data.scenes.train-clips", "12", "--data.scenes.val-clips", "3", "--data.scenes.test-clips", "3",
    "--model.d", "32", "--model.heads", "2", "--model.ffn", "32", "--model.generator-ffn", "32",
    "--model.ici-layers", "1", "--model.mask-hidden", "8", "--model.input-px", "32", "--loss.contrast", "0",
    "--frozen-image-epochs", "1", "--augment", "--device", "cpu",
]  # fmt: skip


def train(out: Path, processes: int, *extra: str) -> str:
    start = (
        ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        if processes > 1
        else []
    )
    argv = [sys.executable, *start, "-m", "stream_avs", "train", "--out", str(out), *FLAGS, *extra]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path) -> None:
    """Over the epoch that freezes the image encoder and into the one that trains it; BCL, whose
    negatives are those of a process, is left out."""
    train(tmp_path / "one", 1)
    out = train(tmp_path / "two", 2, "--accumulation", "2")

    assert out.count("scenes test ·") == 1  # one process speaks
    one, two = (read_history(tmp_path / name / "log.jsonl") for name in ("one", "two"))
    assert len(one) == len(two)
    for a, b in zip(one, two, strict=True):
        assert b == pytest.approx(a, rel=2e-2, abs=1e-4)
    a, b = (read_weights(tmp_path / name / "best.safetensors").tensors for name in ("one", "two"))
    # AdamW's first steps are as long as the learning rate however small the gradient, so where a
    # gradient is rounding noise two runs part by up to 6e-4; most weights agree far better.
    apart = torch.cat([(a[k] - b[k]).abs().flatten() for k in a])
    assert float(apart.mean()) < 3e-6
    assert any(
        key.startswith("random.1.")
        for key in read_state(tmp_path / "two" / "last.safetensors").weights.tensors
    )


def test_devices_that_are_not_there_are_named() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    with pytest.raises(ConfigError, match="device cuda:99 does not exist"):
        pick_device("cuda:99")
    with pytest.raises(ConfigError, match="setting device is 'gpu'"):
        pick_device("gpu")
