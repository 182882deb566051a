"""`stream-avs record` and `replay` with the shipped network on the bundled clip."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stream_avs.commands import record, replay
from stream_avs.errors import ConfigError, PublishError, SourceError
from stream_avs.record.items import FrameItem, ResultItem
from stream_avs.record.reader import Recording, read_attachments


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, talkers: Path) -> Path:
    """The first seconds of the bundled clip, live, through the shipped network."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "sync.yaml").write_text("timeshift_cam_mic_s: 0.0\n")
    path = folder / "talk.mcap"
    arguments = [str(path), "--source", str(talkers), "--record.max-duration-s", "3", "--no-status"]
    code = record.run([*arguments, "--attach", str(folder / "sync.yaml"), "--record.min-free-mb", "0"])
    assert code == 0
    return path


def test_recording_is_whole(recorded: Path) -> None:
    recording = Recording(recorded)
    items = list(recording.items())
    assert recording.complete
    assert recording.info.model_id.startswith("nano-")
    assert sum(isinstance(i, FrameItem) for i in items) > 40
    assert sum(isinstance(i, ResultItem) for i in items) > 5
    assert json.loads(recording.info.config)["model"]["preset"] == "nano"
    assert read_attachments(recorded) == {"sync.yaml": b"timeshift_cam_mic_s: 0.0\n"}


def test_the_same_network_gives_the_same_masks(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay.run([str(recorded), "--compare", "--json", "--strict"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["same"] is True
    assert found["masks_equal"] == found["results"] > 5
    assert found["model_now"] == found["model_recorded"]


def test_another_threshold_is_told(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay.run([str(recorded), "--compare", "--strict", "--model.threshold", "0.99"]) == 1
    out = capsys.readouterr().out
    assert "IoU" in out
    assert "differs" in out


def test_replay_plays_it(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overlay = tmp_path / "again.mp4"
    assert replay.run([str(recorded), "--media.pace", "fast", "--overlay", str(overlay), "--no-status"]) == 0
    assert overlay.stat().st_size > 10_000


def test_ring_is_saved_by_another_process(tmp_path: Path) -> None:
    folder = tmp_path / "ring"
    arguments = [str(folder), "--source", "synthetic", "--no-masks", "--record.ring-s", "2"]
    code = f"from stream_avs.commands import record; record.run({arguments!r})"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    try:
        end_s = time.monotonic() + 30
        while len(list((folder / "ring").glob("*.mcap"))) < 3:
            assert time.monotonic() < end_s
            time.sleep(0.1)
        assert record.run(["save", str(folder)]) == 0
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(10)
    (saved,) = [p for p in folder.iterdir() if p.name != "ring"]
    recording = Recording(saved)
    frames = [i.stamp_ns for i in recording.items() if isinstance(i, FrameItem)]
    assert recording.complete
    assert len(frames) > 15
    assert frames == sorted(frames)


def test_mistakes(tmp_path: Path, recorded: Path) -> None:
    with pytest.raises(PublishError, match="nobody keeps a ring"):
        record.run(["save", str(tmp_path)])
    with pytest.raises(ConfigError, match="no file to record to"):
        record.run(["--source", "synthetic"])
    with pytest.raises(PublishError, match="exists"):
        record.run([str(recorded), "--source", "synthetic", "--no-masks"])
    with pytest.raises(SourceError, match="does not exist"):
        replay.run([str(tmp_path / "none.mcap"), "--compare"])
    with pytest.raises(ConfigError, match="comes first"):
        replay.run(["--compare", str(recorded)])
