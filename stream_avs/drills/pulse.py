"""A private PulseAudio server with a null sink: a microphone without a sound card.

What is played to the sink is what the microphone hears, at 16 kHz, mono, 16 bits. Nothing of the
machine's own sound set-up is touched.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from ctypes.util import find_library
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16000
ALSA_PLUGIN = "libasound_module_pcm_pulse.so"

SETUP = """\
.fail
load-module module-native-protocol-unix socket={dir}/native auth-anonymous=1
load-module module-null-sink sink_name=avs_sink rate=16000 channels=1 format=s16le
set-default-sink avs_sink
set-default-source avs_sink.monitor
"""

ASOUND = """\
pcm.!default {{
  type pulse
  server "unix:{dir}/native"
  device "avs_sink.monitor"
  hint {{ show on description "avs" }}
}}
ctl.!default {{ type pulse server "unix:{dir}/native" }}
"""


def missing() -> str:
    """What this machine lacks to run it; "" when nothing."""
    for program, package in (("pulseaudio", "pulseaudio"), ("pacat", "pulseaudio-utils")):
        if shutil.which(program) is None:
            return f"needs {program} (Debian package {package})"
    if find_library("portaudio") is None:
        return "needs PortAudio (Debian package libportaudio2)"
    if not any(Path("/usr/lib").glob(f"*/alsa-lib/{ALSA_PLUGIN}")):
        return "needs ALSA's PulseAudio plugin (Debian package libasound2-plugins)"
    return ""


class PulseServer:
    """Runs until `close`.

    Args:
        folder: short path for sockets and settings, private to this server.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.chmod(0o700)
        (folder / "default.pa").write_text(SETUP.format(dir=folder))
        (folder / "asound.conf").write_text(ASOUND.format(dir=folder))
        self.env = {
            **os.environ,
            "PULSE_SERVER": f"unix:{folder}/native",
            "ALSA_CONFIG_PATH": f"/usr/share/alsa/alsa.conf:{folder}/asound.conf",
            "JACK_NO_START_SERVER": "1",
        }
        self._processes: list[subprocess.Popen[bytes]] = []
        self.start()

    def start(self) -> None:
        """Start the server, and a client that keeps the sink's latency low.

        Without that client the sink's capture times are wrong by up to 0.6 s for the first seconds.
        """
        home = {
            name: str(self._folder)
            for name in ("PULSE_RUNTIME_PATH", "PULSE_STATE_PATH", "XDG_RUNTIME_DIR", "HOME")
        }
        self._server = self._spawn(
            "pulseaudio", "-n", "-F", str(self._folder / "default.pa"), "--daemonize=no",
            "--exit-idle-time=-1", "--use-pid-file=no", "--realtime=no", "--high-priority=no",
            env={**os.environ, **home},
        )  # fmt: skip
        deadline_s = time.monotonic() + 10
        while subprocess.run(["pactl", "info"], env=self.env, capture_output=True).returncode != 0:
            if time.monotonic() > deadline_s or self._server.poll() is not None:
                raise RuntimeError("the PulseAudio server did not start")
            time.sleep(0.05)
        with open("/dev/zero", "rb") as zero:
            self._spawn(*self.pacat(20), stdin=zero, env=self.env)

    def play(self, samples: NDArray[np.int16]) -> int:
        """Play samples and return the monotonic time in ns just before; waits until they are played."""
        path = self._folder / "play.raw"
        samples.astype("<i2").tofile(path)
        with path.open("rb") as raw:
            begun_ns = time.monotonic_ns()
            # Buffered well: the player must not run dry on a busy machine.
            subprocess.run(self.pacat(400), stdin=raw, env=self.env, check=True, timeout=60)
        return begun_ns

    def wait_sound(self) -> None:
        """Return once the microphone delivers samples: a null sink takes up to two seconds to begin."""
        command = ["parec", "--device=avs_sink.monitor", "--latency-msec=20", "--raw", "--channels=1"]
        with subprocess.Popen(command, env=self.env, stdout=subprocess.PIPE) as recorder:
            assert recorder.stdout is not None
            recorder.stdout.read(640)
            recorder.kill()

    def pause(self) -> None:
        """Freeze the server: no samples come, and whoever asks it anything hangs."""
        self._server.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End the pause."""
        self._server.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End the server and its clients."""
        self.resume()
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def python(self, script: Path, *arguments: str) -> subprocess.Popen[bytes]:
        """Run a Python script that sees this server as the machine's sound system."""
        return subprocess.Popen([sys.executable, str(script), *arguments], env=self.env)

    def pacat(self, latency_ms: int) -> tuple[str, ...]:
        """The command that plays raw samples from its standard input."""
        form = (f"--rate={RATE_HZ}", "--channels=1", "--format=s16le", "--raw")
        return ("pacat", "--device=avs_sink", *form, f"--latency-msec={latency_ms}")

    def _spawn(
        self, *command: str, env: dict[str, str], stdin: BinaryIO | None = None
    ) -> subprocess.Popen[bytes]:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            command, env=env, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._processes.append(process)
        return process
