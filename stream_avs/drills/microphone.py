"""Drills on a microphone, which is a null sink of a private PulseAudio server: it stalls, it is unplugged.

PortAudio looks for devices when it is loaded, so each drill runs in a process of its own:
`python -m stream_avs.drills.microphone NAME FOLDER` prints what it found as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from stream_avs.capture.composite import Composite
from stream_avs.capture.microphone import Microphone
from stream_avs.capture.synthetic import Synthetic
from stream_avs.capture.synthetic_scene import LEVEL, PARTIALS
from stream_avs.config import MicrophoneBackend, MicrophoneConfig
from stream_avs.drills.endure import endure
from stream_avs.drills.pulse import RATE_HZ, PulseServer, missing
from stream_avs.drills.report import Drill, Outcome, Times
from stream_avs.drills.rig import Rig
from stream_avs.drills.truth import SCENE, SceneTruth
from stream_avs.errors import StreamAvsError

DISC = 1
_TONE_S = 2.0
_GONE_S = 4.0
"""A microphone is missed after two seconds without samples."""


class _Tone:
    """Plays the sound of the disc to the null sink, whenever there is one."""

    def __init__(self, server: PulseServer, folder: Path) -> None:
        self._server = server
        self._file = folder / "tone.raw"
        t_s = np.arange(round(_TONE_S * RATE_HZ)) / RATE_HZ
        partials = PARTIALS[DISC]
        total = sum(amplitude for _, amplitude in partials)
        wave = sum(a * np.sin(2 * np.pi * f * t_s) for f, a in partials) * (LEVEL / total)
        # Whole periods, so that it can be repeated: all its frequencies are whole numbers of Hz.
        np.round(np.asarray(wave) * 32767).astype("<i2").tofile(self._file)
        self._stop = threading.Event()
        self._player: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="tone", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Fall silent."""
        self._stop.set()
        if self._player is not None:
            self._player.kill()
        self._thread.join(5.0)

    def _run(self) -> None:
        tone = self._file.read_bytes()
        while not self._stop.wait(0.2):
            self._player = subprocess.Popen(
                self._server.pacat(100),
                stdin=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=self._server.env,
            )
            assert self._player.stdin is not None
            try:
                while not self._stop.is_set():
                    self._player.stdin.write(tone)
            except OSError:  # the server is gone, and the player with it
                self._player.kill()
            self._player.wait()


def _perform(
    strike: Callable[[PulseServer], None],
    mend: Callable[[PulseServer], None],
    folder: Path,
    times: Times,
) -> Outcome:
    """The drill itself, in the process of its own."""
    server = PulseServer(folder)
    os.environ.update({name: server.env[name] for name in ("PULSE_SERVER", "ALSA_CONFIG_PATH")})
    tone = _Tone(server, folder)
    source = Synthetic(SCENE)
    microphone = Microphone(MicrophoneConfig(backend=MicrophoneBackend.SOUNDDEVICE))
    try:
        with Rig(Composite(source, microphone)) as rig:
            rig.truth = SceneTruth(source.scene, source.start_ns, always=DISC)
            return endure(
                rig, times, lambda: strike(server), lambda: mend(server), "masks: no_audio", rounds=2
            )
    finally:
        tone.close()
        server.close()


def _plug_in(server: PulseServer) -> None:
    server.start()
    server.wait_sound()


_BODIES = {
    "microphone-stalled": partial(_perform, PulseServer.pause, PulseServer.resume),
    "microphone-unplugged": partial(_perform, PulseServer.close, _plug_in),
}


def _in_a_process(name: str, folder: Path, times: Times) -> Outcome:
    longer = replace(times, fault_s=max(times.fault_s, _GONE_S))
    command = [sys.executable, "-m", "stream_avs.drills.microphone", name, str(folder)]
    process = subprocess.run([*command, json.dumps(asdict(longer))], capture_output=True, text=True)
    if process.returncode != 0:
        said = process.stderr.strip().splitlines()
        raise StreamAvsError(f"the drill ended early: {said[-1] if said else 'it said nothing'}")
    return msgspec.json.decode(process.stdout.splitlines()[-1], type=Outcome)


DRILLS = (
    Drill(
        name="microphone-stalled", what="the sound server is stopped (SIGSTOP) for a while",
        act=partial(_in_a_process, "microphone-stalled"), needs=missing,
    ),
    Drill(
        name="microphone-unplugged", what="the sound server and its microphone go away and come back",
        act=partial(_in_a_process, "microphone-unplugged"), needs=missing,
    ),
)  # fmt: skip


def main(name: str, folder: str, times: str) -> None:
    """Do one drill, and print its outcome as the last line."""
    outcome = _BODIES[name](Path(folder), msgspec.json.decode(times, type=Times))
    sys.stdout.write(json.dumps(asdict(outcome)) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:4])
