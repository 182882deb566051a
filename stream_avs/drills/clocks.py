"""Drills on time: a microphone whose clock runs fast, and a wall clock that is set."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from stream_avs.capture.base import Sink, SourceInfo
from stream_avs.capture.composite import Composite
from stream_avs.capture.microphone_time import MicrophoneTime
from stream_avs.capture.sample_queue import Captured
from stream_avs.capture.synthetic import Synthetic
from stream_avs.capture.synthetic_scene import RATE_HZ
from stream_avs.capture.tap import NoSink
from stream_avs.clock import monotonic_ns
from stream_avs.drills.endure import endure_unbroken
from stream_avs.drills.report import Check, Drill, Outcome, Times
from stream_avs.drills.rig import Rig
from stream_avs.drills.truth import SCENE, SceneTruth
from stream_avs.ledger import Ledger
from stream_avs.timing.audio_ring import AudioRing
from stream_avs.types import NS_PER_MS, NS_PER_S, AudioBlock, Event, Samples

DRIFT = 200e-6
_BLOCK = 320
_JITTER_S = 0.003
_SIMULATED_S = 1200.0
_SETTLED_S = 60.0
_LIMIT_MS = 5.0
_JUMP_S = 3600.0


class _FastMicrophone:
    """Hears the scene with a sample clock that runs fast, as the callbacks of a driver would tell it.

    Args:
        source: plays the scene; started before.
    """

    def __init__(self, source: Synthetic) -> None:
        self._source = source
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> SourceInfo:
        """See `Source.open`."""
        return SourceInfo(name="fast microphone", sample_rate_hz=RATE_HZ, channels=1)

    def start(self, sink: Sink) -> None:
        """See `Source.start`."""
        self._thread = threading.Thread(target=self._run, args=(sink,), name="fast microphone", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """See `Source.stop`."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def _run(self, sink: Sink) -> None:
        while not self._source.start_ns and not self._stop.wait(0.001):
            pass
        begin_ns, clock = self._source.start_ns, MicrophoneTime(RATE_HZ, sink)
        for index, captured in _callbacks(begin_ns, np.zeros((_BLOCK, 1), np.float32)):
            if self._stop.wait(max(0, captured.called_ns - monotonic_ns()) / NS_PER_S):
                return
            samples = self._source.scene.audio_between(index, index + _BLOCK)
            stamp_ns = clock.place(captured)
            sink.audio(
                AudioBlock(
                    samples=samples, stamp_ns=stamp_ns, sample_rate_hz=RATE_HZ,
                    stamp_source=clock.stamp_source,
                )
            )  # fmt: skip


def _callbacks(begin_ns: int, samples: Samples) -> Iterator[tuple[int, Captured]]:
    """Yield (number of the first sample, block) without end, as a driver with a fast clock calls back."""
    noise, index = random.Random(0), 0
    while True:
        taken_s = begin_ns / NS_PER_S + index / (RATE_HZ * (1 + DRIFT))
        called_s = taken_s + _BLOCK / RATE_HZ + noise.uniform(0, _JITTER_S)
        yield index, Captured(
            samples=samples, adc_s=taken_s + noise.gauss(0, 0.0005), stream_s=called_s,
            called_ns=round(called_s * NS_PER_S), overflowed=False, lost=0,
        )  # fmt: skip
        index += _BLOCK


def _drift(folder: Path, times: Times) -> Outcome:
    source = Synthetic(SCENE)
    with Rig(Composite(source, _FastMicrophone(source))) as rig:
        rig.truth = SceneTruth(source.scene, source.start_ns)
        outcome = endure_unbroken(rig, times, lambda: None, limit_s=1.0)
    error_ms, gaps = simulated_drift()
    uncorrected_ms = _SIMULATED_S * DRIFT * 1000
    found = f"{error_ms:.1f} ms of {uncorrected_ms:.0f} ms, {gaps} gaps"
    name = f"stamps after {_SIMULATED_S / 60:.0f} simulated minutes are off by at most {_LIMIT_MS:g} ms"
    outcome.checks.append(Check(name=name, found=found, passed=error_ms <= _LIMIT_MS and gaps == 0))
    return outcome


def simulated_drift() -> tuple[float, int]:
    """Run the microphone's clock through simulated time.

    Returns:
        The largest error of a block's stamp once settled, in ms, and how many gaps and overlaps the
        audio ring saw.
    """
    ledger = Ledger()
    clock, ring = MicrophoneTime(RATE_HZ, NoSink()), AudioRing(RATE_HZ, 30.0, ledger)
    begin_ns, worst_ms = NS_PER_S, 0.0
    for index, captured in _callbacks(begin_ns, np.zeros((_BLOCK, 1), np.float32)):
        after_s = index / (RATE_HZ * (1 + DRIFT))
        if after_s > _SIMULATED_S:
            break
        stamp_ns = clock.place(captured)
        if after_s > _SETTLED_S:
            worst_ms = max(worst_ms, abs(stamp_ns - begin_ns - after_s * NS_PER_S) / NS_PER_MS)
        ring.push(AudioBlock(samples=captured.samples, stamp_ns=stamp_ns, sample_rate_hz=RATE_HZ))
    counts = ledger.counts()
    return worst_ms, counts.get(Event.AUDIO_GAP, 0) + counts.get(Event.AUDIO_OVERLAP, 0)


@contextmanager
def wall_clock() -> Iterator[list[float]]:
    """Lead this process's wall clock by the sum of the list yielded; the machine's own stays as it is."""
    real_s, real_ns, ahead_s = time.time, time.time_ns, [0.0]
    time.time = lambda: real_s() + sum(ahead_s)
    time.time_ns = lambda: real_ns() + round(sum(ahead_s) * NS_PER_S)
    try:
        yield ahead_s
    finally:
        time.time, time.time_ns = real_s, real_ns


def _wall_jump(folder: Path, times: Times) -> Outcome:
    source = Synthetic(SCENE)
    with wall_clock() as ahead_s, Rig(source) as rig:
        rig.truth = SceneTruth(source.scene, source.start_ns)
        outcome = endure_unbroken(rig, times, lambda: ahead_s.append(_JUMP_S), limit_s=1.0)
        results = [seen.result for seen in rig.seen(0)]
    steps_ns = np.diff([result.stamp_ns for result in results])
    moved_s = (results[-1].unix_offset_ns - results[0].unix_offset_ns) / NS_PER_S
    counts = rig.ledger.counts()
    resets, noticed = counts.get(Event.DISCONTINUITY, 0), counts.get(Event.WALL_CLOCK, 0)
    outcome.checks.extend([
        Check(name="jumps counted", found=str(noticed), passed=noticed == 1),
        Check(
            name="stamps go on", found=f"at most {steps_ns.max() / NS_PER_S:.2f} s apart, {resets} resets",
            passed=bool((steps_ns > 0).all()) and resets == 0,
        ),
        Check(
            name=f"their Unix time follows by {_JUMP_S:g} s", found=f"{moved_s:.3f} s",
            passed=abs(moved_s - _JUMP_S) < 0.5,
        ),
    ])  # fmt: skip
    return outcome


DRILLS = (
    Drill(
        name="clock-drift", what="the microphone's clock runs 200 ppm fast", act=_drift, bound_s=None,
    ),
    Drill(
        name="wall-clock-jump", what="the wall clock is set an hour ahead", act=_wall_jump, bound_s=None,
    ),
)  # fmt: skip
