from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest

from stream_avs.capture.camera_list import CameraInfo, list_cameras
from stream_avs.capture.portaudio import MicrophoneInfo
from stream_avs.commands import devices


def test_what_this_machine_has_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert devices.run([]) == 0
    shown = capsys.readouterr().out
    for camera in list_cameras():
        assert f"{camera.index}  {camera.name}" in shown
    assert ("cameras: none found" in shown) == (list_cameras() == [])
    assert "microphones" in shown


def test_json_is_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert devices.run(["--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [c["index"] for c in found["cameras"]] == [c.index for c in list_cameras()]
    assert set(found) == {"cameras", "microphones", "notes"}


def test_lines_of_cameras_and_microphones() -> None:
    cameras = [
        CameraInfo(index=0, path="/dev/video0", name="HD Webcam", width_px=1280, height_px=720),
        CameraInfo(index=10, path="/dev/video10", name="Other", note="permission denied"),
    ]
    microphones = [
        MicrophoneInfo(
            index=4, name="USB Mic", channels=2, default_rate_hz=48000, host_api="ALSA", is_default=True
        )
    ]
    assert devices._cameras(cameras)[1:] == [
        "    0  HD Webcam  /dev/video0  1280x720",
        "   10  Other  /dev/video10  permission denied",
    ]
    assert devices._microphones(microphones)[1:] == [" *  4  USB Mic  2 ch  48000 Hz  ALSA"]


@pytest.mark.parametrize("backend", ["sounddevice", "pyaudio"])
def test_sound_systems_that_are_not_there_are_not_complained_of(backend: str) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"needs {backend}")
    script = f"from stream_avs.commands.devices import run; raise SystemExit(run(['--backend', '{backend}']))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0
    assert ran.stderr == ""


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_without_portaudio_the_command_to_get_it_is_shown(arguments: list[str]) -> None:
    # In a process of its own, where the library is not found and was never loaded.
    script = (
        "import ctypes.util, sys\n"
        "ctypes.util.find_library = lambda name: None; sys.modules['pyaudio'] = None\n"
        f"from stream_avs.commands.devices import run; raise SystemExit(run({arguments}))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert "apt-get install libportaudio2" in ran.stdout
    if arguments:
        assert json.loads(ran.stdout)["microphones"] == []
