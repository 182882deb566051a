"""`stream-avs run` as a user meets it: mistakes end in one line, Ctrl-C within a second, nothing is lost."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from stream_avs.calibration.av_calib import read_av_calib
from stream_avs.commands.run import parse
from stream_avs.config import Policy
from stream_avs.errors import ConfigError, StreamAvsError

COMMAND = [sys.executable, "-m", "stream_avs", "run"]


def run(*arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=timeout_s)


def check_one_line_error(done: subprocess.CompletedProcess[str], code: int, *says: str) -> None:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("stream-avs: error: ")
    for words in says:
        assert words in last


@pytest.fixture(scope="module")
def sound_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("media") / "voice.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(np.zeros(16_000, np.int16).tobytes())
    return path


@pytest.fixture(scope="module")
def silent_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("media") / "silent.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(50):
            image = np.full((48, 64, 3), i * 5, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def test_missing_file() -> None:
    check_one_line_error(run("--source", "nowhere/talk.mp4"), 3, "nowhere/talk.mp4")


def test_file_without_picture(sound_only: Path) -> None:
    check_one_line_error(run("--source", str(sound_only)), 3, str(sound_only.name))


def test_file_that_is_no_media(tmp_path: Path) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("not a film")
    check_one_line_error(run("--source", str(path)), 3, "notes.mp4")


def test_camera_that_is_not_there() -> None:
    check_one_line_error(run("--source", "camera:97"), 3, "camera 97")


def test_rtsp_refused_hides_the_password() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    done = run("--source", f"rtsp://user:secret@127.0.0.1:{port}/cam", "--media.timeout-s", "3")
    check_one_line_error(done, 3, "127.0.0.1")
    assert "secret" not in done.stderr


def test_port_in_use(talkers: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        check_one_line_error(run("--source", str(talkers), "--publish", address), 5, address, "in use")


def test_public_address_is_refused(talkers: Path) -> None:
    check_one_line_error(run("--source", str(talkers), "--publish", "tcp://0.0.0.0:5557"), 5, "0.0.0.0")


def test_unknown_preset(talkers: Path) -> None:
    done = run("--source", str(talkers), "--model.preset", "concensus")
    check_one_line_error(done, 2, "concensus", "Did you mean 'consensus'?")


def test_unknown_key_in_yaml(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("source: webcam\nmodle: {}\n")
    check_one_line_error(run("--config", str(path)), 2, "'modle'", "Did you mean 'model'?")


def test_overlay_that_cannot_be_written(talkers: Path) -> None:
    done = run("--source", str(talkers), "--overlay", "/proc/nowhere/overlay.mp4", timeout_s=60)
    check_one_line_error(done, 5, "/proc/nowhere")


def test_every_of_a_live_source_is_refused() -> None:
    done = run("--source", "synthetic", "--policy", "every", "--duration-s", "1")
    check_one_line_error(done, 2, "every", "--policy freshest")


def test_film_without_sound_runs_and_says_so(silent_film: Path) -> None:
    done = run("--source", str(silent_film), "--media.pace", "fast")
    assert done.returncode == 0, done.stderr
    assert "50 frames, 50 masks, 0 dropped" in done.stderr


def test_truncated_file_ends_normally(talkers: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    whole = talkers.read_bytes()
    path.write_bytes(whole[: len(whole) // 3])  # the index is at the front: two thirds are missing
    done = run("--source", str(path), "--media.pace", "fast")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    frames = int(done.stderr.split(" frames, ")[0].split()[-1])
    assert 30 < frames < 200


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a device without room")
def test_full_disk_is_refused_at_the_start(silent_film: Path, tmp_path: Path) -> None:
    video = tmp_path / "overlay.mp4"
    video.symlink_to("/dev/full")
    done = run("--source", str(silent_film), "--media.pace", "fast", "--overlay", str(video))
    check_one_line_error(done, 5, "overlay.mp4", "No space left")


def test_disk_that_fills_up_stops_the_video_not_the_masks(talkers: Path, tmp_path: Path) -> None:
    arguments = ["--source", str(talkers), "--duration-s", "5", "--overlay", str(tmp_path / "overlay.mp4")]
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 40 && exec "$0" "$@"', *COMMAND, *arguments],  # 40 KiB a file
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    assert "overlay.mp4 is not whole" in done.stderr
    assert done.returncode == 5
    frames = int(done.stderr.split(" frames, ")[0].split()[-1])
    assert 100 < frames < 135  # 5 s at 25 Hz: the masks went on to the end


def test_synthetic_source_needs_nothing() -> None:
    done = run("--source", "synthetic", "--duration-s", "2")
    assert done.returncode == 0, done.stderr
    assert " masks, " in done.stderr


@pytest.mark.parametrize("stop_signal", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_within_a_second_with_everything_flushed(
    talkers: Path, tmp_path: Path, stop_signal: signal.Signals
) -> None:
    video = tmp_path / "overlay.mp4"
    process = subprocess.Popen(
        [*COMMAND, "--source", str(talkers), "--media.loop", "--overlay", str(video)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stderr is not None
    for line in process.stderr:  # until masks come
        if "masks/s" in line and "  0.0 masks/s" not in line:
            break
    time.sleep(2)
    begin = time.monotonic()
    process.send_signal(stop_signal)
    _, err = process.communicate(timeout=10)
    took_s = time.monotonic() - begin
    assert process.returncode == 0, err
    assert took_s < 1.0, f"took {took_s:.2f} s"
    with av.open(str(video)) as container:
        written = sum(1 for _ in container.decode(video=0))
    assert f"({written} frames" in err
    assert written >= 25


def test_yaml_and_flags_agree(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("source: webcam\nname: front\npublish: {address: 'tcp://127.0.0.1:1'}\n")
    config = parse(["--config", str(path), "--policy", "freshest", "--publish", "tcp://127.0.0.1:2"])
    assert (config.source, config.name, config.policy) == ("webcam", "front", Policy.FRESHEST)
    assert config.publish.address == "tcp://127.0.0.1:2"
    assert parse(["--source=a", "--publish=tcp://127.0.0.1:3"]).publish.address == "tcp://127.0.0.1:3"


def test_calibration_file_sets_the_shift(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "calib" / "examples" / "av_calib.yaml"
    shift_s = read_av_calib(example).timeshift_cam_mic_s
    assert shift_s != 0
    assert parse(["--source=a", f"--calibration={example}"]).window.timeshift_cam_mic_s == shift_s
    with pytest.raises(StreamAvsError, match=r"nowhere\.yaml does not exist"):
        parse(["--source=a", f"--calibration={tmp_path / 'nowhere.yaml'}"])


def test_config_without_a_value() -> None:
    with pytest.raises(ConfigError, match="--config has no value"):
        parse(["--config"])
