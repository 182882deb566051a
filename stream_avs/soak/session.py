"""The session that is watched: `stream-avs run` in a process of its own, read through its metrics."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from stream_avs.errors import PublishError, StreamAvsError
from stream_avs.observe.process import set_priority

_LINE = re.compile(r"(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_STOP_S = 20.0
_BOUND_TO_PARENT = """
import ctypes, os, runpy, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
if os.getppid() != int(sys.argv.pop(1)):
    sys.exit("whoever started this is gone")
runpy.run_module("stream_avs", run_name="__main__", alter_sys=True)
"""
"""`python -m stream_avs` that the kernel ends when its parent is killed (Linux).

The new process sees to that itself: Python code between fork and exec would need a true fork, in which the
libraries of this process stop their threads or, at worst, wait for them for ever (OpenBLAS).
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """Metrics of one moment: values by name, or by (name, value of the label that tells them apart)."""

    plain: Mapping[str, float]
    by_label: Mapping[tuple[str, str], float]

    def of(self, name: str) -> float:
        """The figure without labels; 0 if there is none."""
        return self.plain.get(name, 0.0)

    def labels(self, name: str) -> dict[str, float]:
        """All figures of one name by label."""
        return {label: value for (of, label), value in self.by_label.items() if of == name}

    def current(self, name: str) -> str:
        """The label whose figure is 1, e.g. of `stream_avs_source_state`; "" if there is none."""
        return next((label for label, value in self.labels(name).items() if value == 1), "")


class Session:
    """Runs from the start to `stop`; a context manager.

    Args:
        options: of `stream-avs run`, without addresses and status.
        log: file for what it prints.
        nice: its priority, -20 first.

    Attributes:
        address: where masks are published.
        pid: of the process.
    """

    def __init__(self, options: Sequence[str], log: Path, nice: int = 0) -> None:
        self.address = f"tcp://127.0.0.1:{_free_port()}"
        self._metrics = ("127.0.0.1", _free_port())
        self._log = log
        own = ["--publish.address", self.address, "--metrics.address", f"127.0.0.1:{self._metrics[1]}"]
        start = [sys.executable, "-c", _BOUND_TO_PARENT, str(os.getpid())]
        command = [*start, "run", *own, "--no-status", *options]
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("wb") as file:
                # A session of its own: Ctrl-C is for us, who then end it.
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
                )
        except OSError as error:
            raise PublishError(f"cannot write {log}: {error.strerror}", "Choose another --out") from None
        self.pid = self._process.pid
        if nice:
            self._prefer(nice)

    def _prefer(self, nice: int) -> None:
        try:
            set_priority(self.pid, nice)
        except OSError as error:
            self.stop()
            what = f"the session cannot have priority {nice}: {error.strerror}"
            raise StreamAvsError(what, "Run as root, or with --nice 0") from None

    def figures(self) -> Figures:
        """Read the metrics.

        Raises:
            StreamAvsError: the session has ended, or does not answer.
        """
        self.check()
        connection = http.client.HTTPConnection(*self._metrics, timeout=10)
        try:
            connection.request("GET", "/metrics")
            return parse(connection.getresponse().read().decode())
        except (OSError, http.client.HTTPException) as error:
            self.check()
            raise StreamAvsError(f"the session does not answer: {error}", f"See {self._log}") from None
        finally:
            connection.close()

    def wait_ready(self, timeout_s: float) -> None:
        """Return once masks are made.

        Raises:
            StreamAvsError: the session has ended, or makes none in time.
        """
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            time.sleep(0.2)
            self.check()
            try:
                if self.figures().of("stream_avs_masks_total"):
                    return
            except StreamAvsError:
                self.check()
        raise StreamAvsError(f"no mask within {timeout_s:.0f} s", f"See {self._log}")

    def check(self) -> None:
        """Raise StreamAvsError, with the last thing it said, if the session has ended."""
        code = self._process.poll()
        if code is not None:
            lines = self._log.read_text(errors="replace").strip().splitlines()
            said = lines[-1] if lines else "nothing"
            raise StreamAvsError(f"the session ended with code {code}; it said: {said}", f"See {self._log}")

    def stop(self) -> int:
        """End it and return its exit code, negative if it had to be killed. May be called twice."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def parse(text: str) -> Figures:
    """Read the text of our own /metrics; with several labels the first tells the samples apart."""
    plain: dict[str, float] = {}
    by_label: dict[tuple[str, str], float] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        labels = _LABEL.findall(match["labels"] or "")
        if labels:
            by_label[match["name"], labels[0][1]] = float(match["value"])
        else:
            plain[match["name"]] = float(match["value"])
    return Figures(plain=plain, by_label=by_label)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
