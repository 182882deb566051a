"""Drills on those who read: two hundred of them, and one that stands still."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from stream_avs.capture.synthetic import Synthetic
from stream_avs.clock import monotonic_ns
from stream_avs.drills.report import Check, Drill, Outcome, Times
from stream_avs.drills.rig import Rig
from stream_avs.drills.truth import SCENE, SceneTruth
from stream_avs.errors import StreamAvsError
from stream_avs.observe.process import set_priority

CROWD, PROCESSES, RATE_HZ = 200, 4, 30.0
MORE_AGE_MS = 5.0
_READ_S = 10.0
_BESIDE_S = 5.0
"""The crowd reads so much longer than the reader that measures, which needs time to start."""

_FRESH_MS = 500.0
_PATIENCE_S = 60.0


class _Crowd:
    """Subscribers in a process of their own.

    Those beyond the one that measures stand for other machines: they get what processor time is left.
    """

    def __init__(self, address: str, count: int, seconds: float) -> None:
        command = [sys.executable, "-m", "stream_avs.drills.crowd", address, str(count), str(seconds)]
        many = count > 1
        # Not buffered: what waits in a buffer of ours, `select` does not see.
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0, start_new_session=many)
        if many:
            set_priority(self.process.pid, 19)

    def line(self) -> dict[str, Any]:
        """The next thing it says."""
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], _PATIENCE_S)
        line = self.process.stdout.readline() if readable else b""
        if not line:
            raise StreamAvsError(f"subscribers say nothing for {_PATIENCE_S:g} s, or have ended")
        found: dict[str, Any] = json.loads(line)
        return found

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def _flood(folder: Path, times: Times) -> Outcome:
    source = Synthetic(replace(SCENE, fps=RATE_HZ))
    with Rig(source) as rig:
        rig.truth = SceneTruth(source.scene, source.start_ns)
        rig.settle(times)
        before, told = rig.usage(), len(rig.shown)
        alone, _ = _read_with(rig, 0)
        begun_ns = monotonic_ns()
        first, others = _read_with(rig, PROCESSES)
        silence_s = rig.silence_s(begun_ns)
        right = rig.right_after(begun_ns)
        most_ms = MORE_AGE_MS
        more_ms = first["age_p99_ms"] - alone["age_p99_ms"]
        masks = (_READ_S + _BESIDE_S) * RATE_HZ * CROWD
        got, silent = sum(o["received"] for o in others), sum(o["without_any"] for o in others)
        ages = f"{alone['age_p99_ms']:.1f} to {first['age_p99_ms']:.1f} ms"
        checks = [
            Check(name=f"age p99 grows by at most {most_ms:g} ms", found=ages, passed=more_ms <= most_ms),
            Check(name="subscribers without any mask", found=f"{silent} of {CROWD}", passed=silent == 0),
            Check(name="masks read by all", found=f"{got / masks:.0%}", passed=got > masks / 20),
            Check(name="longest pause", found=f"{silence_s:.2f} s", passed=silence_s < 1.0),
            right, *rig.no_growth(before), *rig.close(),
        ]  # fmt: skip
    return Outcome(shown=tuple(rig.shown[max(0, told - 1) :]), checks=checks)


def _read_with(rig: Rig, processes: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Measure with one reader while others read; return what it reports, and what they do."""
    share = CROWD // PROCESSES
    crowds = [_Crowd(rig.publisher.address, share, _READ_S + _BESIDE_S) for _ in range(processes)]
    try:
        for crowd in crowds:
            crowd.line()
        crowds.append(_Crowd(rig.publisher.address, 1, _READ_S))
        crowds[-1].line()
        first = crowds[-1].line()
        return first, [crowd.line() for crowd in crowds[:-1]]
    finally:
        for crowd in crowds:
            crowd.close()


def _suspended(folder: Path, times: Times) -> Outcome:
    source = Synthetic(replace(SCENE, fps=RATE_HZ))
    with Rig(source) as rig:
        rig.truth = SceneTruth(source.scene, source.start_ns)
        rig.settle(times)
        before, told = rig.usage(), len(rig.shown)
        crowd = _Crowd(rig.publisher.address, 1, times.fault_s + times.calm_s)
        try:
            crowd.line()
            time.sleep(times.calm_s / 2)
            begun_ns = monotonic_ns()
            os.kill(crowd.process.pid, signal.SIGSTOP)
            time.sleep(times.fault_s)
            silence_s = rig.silence_s(begun_ns)
            os.kill(crowd.process.pid, signal.SIGCONT)
            age_ms = crowd.line()["age_p50_ms"]
        finally:
            crowd.close()
        checks = [
            Check(name="longest pause of another reader", found=f"{silence_s:.2f} s", passed=silence_s < 1.0),
            Check(
                name="masks the suspended one reads are fresh",
                found=f"p50 {age_ms:.0f} ms" if age_ms is not None else "none",
                passed=age_ms is not None and age_ms < _FRESH_MS,
            ),
            rig.right_after(begun_ns), *rig.no_growth(before), *rig.close(),
        ]  # fmt: skip
    return Outcome(shown=tuple(rig.shown[max(0, told - 1) :]), checks=checks)


DRILLS = (
    Drill(name="flood", what=f"{CROWD} subscribers at {RATE_HZ:g} Hz", act=_flood, bound_s=None),
    Drill(
        name="subscriber-suspended", what="one of two subscribers is stopped (SIGSTOP) for a while",
        act=_suspended, bound_s=None,
    ),
)  # fmt: skip
