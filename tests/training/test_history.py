"""The log of a run survives kills and forgets what will be gone through again."""

from __future__ import annotations

from pathlib import Path

from stream_avs.training.history import History, read_history


def test_entries_after_the_step_resumed_from_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with History(path, 0) as history:
        for step in (1, 2, 3):
            history.add(step, loss=1.0 / step, bad=float("nan"))
    path.write_text(path.read_text() + '{"step": 4, "lo')  # killed while writing
    with History(path, 2) as history:
        history.add(3, loss=7.0)
    assert read_history(path) == [
        {"step": 1, "loss": 1.0}, {"step": 2, "loss": 0.5}, {"step": 3, "loss": 7.0},
    ]  # fmt: skip


def test_processes_that_do_not_lead_write_nothing(tmp_path: Path) -> None:
    with History(tmp_path / "log.jsonl", 0, enabled=False) as history:
        history.add(1, loss=1.0)
    assert list(tmp_path.iterdir()) == []
