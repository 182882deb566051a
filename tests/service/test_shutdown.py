"""`stream-avs run` under a service manager, and its end: order, time, a second signal, and what hangs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux, as systemd does")

RUN = ("run", "--source", "synthetic", "--no-status")
WRITES_WHAT_IS_LEFT = """
import sys, threading, time
from stream_avs import cli
from stream_avs.capture.synthetic import Synthetic
from stream_avs.engine.supervise import Supervisor
from stream_avs.publish.zeromq import Publisher
from stream_avs.record.recorder import Recorder

def told(kind, name, seconds=0.0):
    method = getattr(kind, name)
    def wrapper(self, *args, **kwargs):
        print("closing", kind.__name__, flush=True)
        time.sleep(seconds)
        return method(self, *args, **kwargs)
    setattr(kind, name, wrapper)

told(Synthetic, "stop"); told(Supervisor, "stop"); told(Publisher, "close")
told(Recorder, "close", float(sys.argv.pop(1)))
sys.exit(cli.main())
"""


class Service:
    """A live session with a manager's socket, and what it says there and on standard output."""

    def __init__(self, folder: Path, *arguments: str, slow_s: float = 0.0) -> None:
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(folder / "notify"))
        self._notify.settimeout(60)
        environment = {
            **os.environ,
            "NOTIFY_SOCKET": str(folder / "notify"),
            "WATCHDOG_USEC": "1000000",
            "PYTHONUNBUFFERED": "1",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITES_WHAT_IS_LEFT, str(slow_s), *RUN, *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, message: str) -> None:
        while not (said := self._notify.recv(4096).decode()).startswith(message):
            assert self.process.poll() is None, (said, self.process.communicate())

    def end(self, number: int) -> tuple[int, float, str, str]:
        """Send a signal; returns exit code, seconds, output and errors."""
        begun_s = time.monotonic()
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, time.monotonic() - begun_s, out, err

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        self._notify.close()


@contextmanager
def running(folder: Path, *arguments: str, slow_s: float = 0.0) -> Iterator[Service]:
    service = Service(folder, *arguments, slow_s=slow_s)
    try:
        service.wait_for("READY=1")
        yield service
    finally:
        service.close()


def test_a_service_is_ready_alive_and_ends_in_order(tmp_path: Path) -> None:
    arguments = ("--publish", "tcp://127.0.0.1:*", "--record", str(tmp_path / "session.mcap"))
    with running(tmp_path, *arguments) as service:
        service.wait_for("STATUS=source")
        service.wait_for("WATCHDOG=1")
        code, took_s, out, err = service.end(signal.SIGTERM)
        service.wait_for("STOPPING=1")
    assert code == 0, err
    assert took_s < 10
    closed = list(dict.fromkeys(out.split("\n")))
    assert closed[:4] == [f"closing {k}" for k in ("Synthetic", "Supervisor", "Publisher", "Recorder")]
    assert "recording:" in err


@pytest.mark.slow
def test_a_second_signal_ends_a_session_at_once(tmp_path: Path) -> None:
    with running(tmp_path, "--record", str(tmp_path / "session.mcap"), slow_s=30.0) as service:
        service.process.send_signal(signal.SIGINT)
        assert service.process.stdout is not None
        while "Recorder" not in service.process.stdout.readline():
            pass
        code, took_s, _, err = service.end(signal.SIGINT)
    assert code == 130
    assert took_s < 5
    assert "ended at once; something may not have been written" in err
    assert "Traceback" not in err


HANGS = """
import sys, time
from stream_avs.service.shutdown import Shutdown
with Shutdown(limit_s=float(sys.argv[1])) as ending:
    with ending.session():
        print("begun", flush=True)
        time.sleep(60)
    print("ending", flush=True)
    time.sleep(60)
"""


def hanging(limit_s: str) -> subprocess.Popen[str]:
    """A process that takes a minute to end, once it has begun."""
    process = subprocess.Popen(
        [sys.executable, "-c", HANGS, limit_s], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def test_what_hangs_on_the_way_out_is_given_its_time() -> None:
    process = hanging("0.5")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "ending\n")
    assert "the end has taken more than 0.5 s" in err


def test_a_second_signal_does_not_wait_for_what_hangs() -> None:
    process = hanging("30")
    begun_s = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    assert process.stdout.readline() == "ending\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert time.monotonic() - begun_s < 10
    assert "ended at once; something may not have been written" in err


ENDS_BY_ITSELF = """
import os, signal, time
from stream_avs.service.shutdown import Shutdown
begun = []
with Shutdown(lambda: begun.append(1), limit_s=5) as ending:
    with ending.session():
        pass
    os.kill(os.getpid(), signal.SIGINT)  # too late to interrupt anything
    time.sleep(0.2)
    print("written", begun, flush=True)
"""


def test_a_signal_does_not_interrupt_an_end_that_has_begun() -> None:
    done = subprocess.run([sys.executable, "-c", ENDS_BY_ITSELF], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "written [1]\n"), done.stderr
