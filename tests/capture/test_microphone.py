"""A real PortAudio capture: a private PulseAudio server with a null sink is the microphone.

Every recording runs in a process of its own, see record_microphone.py.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stream_avs.drills.pulse import RATE_HZ, PulseServer, missing

pytestmark = [
    pytest.mark.pulseaudio,
    pytest.mark.skipif(missing() != "", reason=missing()),
]

BACKENDS = [
    "sounddevice",
    pytest.param(
        "pyaudio",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("pyaudio") is None,
            reason="needs pyaudio (pip install pyaudio; Debian package portaudio19-dev)",
        ),
    ),
]
SCRIPT = Path(__file__).parent / "record_microphone.py"
ONSET_LIMIT_S = (-0.010, 0.150)
"""Stamped onset minus the start of the player: not before it, and at most the time a player takes
to start on a busy machine."""


@pytest.fixture(scope="module")
def server() -> Iterator[PulseServer]:
    # Sockets have short names: not below pytest's own folder.
    with tempfile.TemporaryDirectory(prefix="avs") as folder:
        running = PulseServer(Path(folder))
        try:
            time.sleep(2.0)  # until the sink's latency has settled
            yield running
        finally:
            running.close()


def record(
    server: PulseServer,
    out: Path,
    seconds: float,
    meanwhile: Callable[[], None],
    backend: str = "sounddevice",
) -> dict[str, NDArray[Any]]:
    """Record for some seconds and do something meanwhile, once samples come."""
    process = server.python(SCRIPT, str(out), str(seconds), backend)
    try:
        deadline_s = time.monotonic() + 20
        while not Path(f"{out}.ready").exists():
            assert process.poll() is None, "the recorder ended early"
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        meanwhile()
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    with np.load(out) as saved:
        return dict(saved)


def stamp_at_ns(recorded: dict[str, NDArray[Any]], index: int) -> float:
    """Capture time of sample number `index`, from the stamp of its block."""
    begins = np.concatenate([[0], np.cumsum(recorded["counts"])])
    k = int(np.searchsorted(begins, index, side="right")) - 1
    return float(recorded["stamps_ns"][k] + (index - begins[k]) * 1e9 / RATE_HZ)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_played_is_heard_intact_and_stamped_when_it_was_played(
    server: PulseServer, tmp_path: Path, backend: str
) -> None:
    played = np.random.default_rng(7).integers(-8000, 8000, RATE_HZ).astype(np.int16)
    begun: list[int] = []

    def play() -> None:
        time.sleep(2.2)  # the clock filter warms up
        begun.append(server.play(played))

    recorded = record(server, tmp_path / "heard.npz", 4.0, play, backend)
    heard = np.round(recorded["samples"][:, 0] * 32768).astype(int)
    chunk = RATE_HZ // 20
    # The server may swallow the very first milliseconds of a stream that joins others.
    positions = [find(heard, played[k : k + chunk]) for k in range(chunk, len(played) - chunk, chunk)]
    intact = [position for position in positions if position >= 0]
    assert len(intact) >= 0.9 * len(positions)
    assert intact == sorted(intact)

    onset_s = (stamp_at_ns(recorded, intact[0] - (positions.index(intact[0]) + 1) * chunk) - begun[0]) / 1e9
    assert ONSET_LIMIT_S[0] < onset_s < ONSET_LIMIT_S[1]

    begins = np.cumsum(recorded["counts"]) - recorded["counts"]
    residual_ms = (recorded["stamps_ns"] - begins * 1e9 / RATE_HZ) / 1e6
    settled = residual_ms[len(residual_ms) // 2 :]
    # Callbacks are 15 ms apart from even; on a quiet machine this is below 0.2 ms.
    assert settled.std() < 3.0, "samples are the clock, not the callbacks"
    ends_ns = recorded["stamps_ns"] + recorded["counts"] * 1e9 / RATE_HZ
    delay_ms = (recorded["handed_ns"] - ends_ns)[len(ends_ns) // 2 :] / 1e6
    assert -20 < np.median(delay_ms) < 60

    assert set(recorded["sources"]) == {"driver"}
    assert str(recorded["info"]).endswith("|16000|1")
    assert any(entry.startswith("default|") and entry.endswith("True") for entry in recorded["devices"])
    assert recorded["stop_s"] < 1.0
    assert str(recorded["error"]) == ""


def find(heard: NDArray[np.int_], chunk: NDArray[np.int16]) -> int:
    """Where a chunk of what was played is heard, unaltered; -1 if nowhere."""
    for position in np.flatnonzero(heard[: len(heard) - len(chunk) + 1] == chunk[0]):
        if np.array_equal(heard[position : position + len(chunk)], chunk):
            return int(position)
    return -1


def test_a_microphone_that_stalls_is_opened_again(server: PulseServer, tmp_path: Path) -> None:
    paused_ns: list[int] = []

    def stall() -> None:
        time.sleep(1.0)
        paused_ns.append(time.monotonic_ns())
        server.pause()
        time.sleep(3.0)
        server.resume()

    recorded = record(server, tmp_path / "stalled.npz", 7.0, stall)
    events = [str(event) for event in recorded["events"]]
    assert any("no samples from microphone" in event for event in events)
    assert any(event.startswith("reconnect: microphone") for event in events)
    after = recorded["stamps_ns"] > paused_ns[0] + 3e9
    assert recorded["counts"][after].sum() > RATE_HZ, "it hears again"
    # what is stamped after the stall was handed over when it was taken, not three seconds later
    late_s = (recorded["handed_ns"][after] - recorded["stamps_ns"][after]) / 1e9
    assert np.median(late_s) < 0.3
    assert str(recorded["error"]) == ""


def test_a_wrong_name_lists_the_microphones(server: PulseServer) -> None:
    script = (
        "from stream_avs.capture.microphone import Microphone\n"
        "from stream_avs.config import MicrophoneConfig\n"
        "from stream_avs.errors import SourceError\n"
        "for asked in (dict(device='headset'), dict(channels=64)):\n"
        "    try:\n"
        "        Microphone(MicrophoneConfig(**asked)).open()\n"
        "    except SourceError as error:\n"
        "        print(error)\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script], env=server.env, capture_output=True, text=True, timeout=60
    ).stdout
    assert "there is no microphone 'headset'" in shown
    assert "(default, ALSA)" in shown
    assert "has 32 channels, 64 were asked for" in shown


def test_the_command_lists_them_too(server: PulseServer) -> None:
    script = "from stream_avs.commands.devices import run; raise SystemExit(run([]))"
    shown = subprocess.run(
        [sys.executable, "-c", script], env=server.env, capture_output=True, text=True, timeout=60
    )
    assert shown.returncode == 0
    assert "default  32 ch" in shown.stdout
    assert " * " in shown.stdout
