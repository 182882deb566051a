"""Drills on the machine: no processor time, no room on the disk."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from stream_avs.capture.synthetic import Synthetic
from stream_avs.capture.tap import chain
from stream_avs.clock import monotonic_ns
from stream_avs.config import RunConfig
from stream_avs.drills.endure import endure, endure_unbroken
from stream_avs.drills.report import Check, Drill, Outcome, Times
from stream_avs.drills.rig import Rig
from stream_avs.drills.truth import SCENE, SceneTruth, TruthModel
from stream_avs.errors import StreamAvsError
from stream_avs.ledger import Ledger
from stream_avs.types import Event

_WORK_S = 0.015
_HOGS_PER_CORE = 4
_PAUSE_S = 5.0
_DISK = "8m"
_MB = 1 << 20


def _starved(folder: Path, times: Times) -> Outcome:
    """A network that takes a third of one processor, beside others that take all there is."""
    hogs: list[subprocess.Popen[bytes]] = []

    def strike() -> None:
        count = _HOGS_PER_CORE * (os.cpu_count() or 1)
        # Threads of one process would share its part: Linux shares processors among sessions first.
        command = [sys.executable, "-c", "while True: pass"]
        hogs.extend(subprocess.Popen(command, start_new_session=True) for _ in range(count))

    def mend() -> None:
        for hog in hogs:
            hog.kill()
            hog.wait()

    source = Synthetic(SCENE)
    try:
        with Rig(source, model=TruthModel(work_s=_WORK_S)) as rig:
            rig.truth = SceneTruth(source.scene, source.start_ns)
            begun_ns = monotonic_ns()
            outcome = endure(rig, times, strike, mend)
            age_ms, pause_s = rig.age_p99_ms(begun_ns), rig.silence_s(begun_ns)
    finally:
        mend()
    failed = rig.ledger.counts().get(Event.STEP_ERROR, 0)
    found = f"age p99 {age_ms:.0f} ms, longest pause {pause_s:.2f} s, {failed} steps failed"
    good = pause_s <= _PAUSE_S and failed == 0
    outcome.checks.append(Check(name="masks meanwhile", found=found, passed=good))
    return outcome


def _disk_full(folder: Path, times: Times) -> Outcome:
    # Imported here: mcap and PyAV are needed by those who ask for this drill only.
    from stream_avs.publish.overlay_tap import OverlayTap
    from stream_avs.record.config import RecordConfig
    from stream_avs.record.reader import Recording
    from stream_avs.record.recorder import Recorder
    from stream_avs.record.settings import recording_info

    source, ledger, model = Synthetic(SCENE), Ledger(), TruthModel()
    with _small_disk(folder / "disk") as disk, ExitStack() as stack:
        config = RecordConfig(path=str(disk / "session.mcap"), min_free_mb=0)
        info = recording_info(RunConfig(source="synthetic"), model.id)
        recorder = stack.enter_context(Recorder(config, info, ledger))
        overlay = stack.enter_context(OverlayTap(disk / "overlay.mp4", ledger))
        listeners, tap = (recorder.publish, overlay.publish), chain(recorder.tap, overlay.wrap)
        with Rig(source, model=model, tap=tap, listeners=listeners, ledger=ledger) as rig:
            rig.truth = SceneTruth(source.scene, source.start_ns)
            outcome = endure_unbroken(rig, times, lambda: _fill(disk / "ballast"), limit_s=1.0)
        overlay.close()
        recorder.close()
        said = f"{recorder.report()}; {overlay.report()}"
        frames = sum(1 for item in Recording(disk / "session.mcap").items() if hasattr(item, "image"))
    outcome.checks.extend(
        [
            Check(name="says that the disk is full", found=said, passed=recorder.error is not None),
            Check(name="frames of the recording that can be read", found=str(frames), passed=frames > 0),
        ]
    )
    return outcome


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    """A file system in memory with room for a few megabytes."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode != 0:
        raise StreamAvsError(f"cannot mount a small disk at {folder}", "Run as root, outside a container")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], capture_output=True)


def _fill(path: Path) -> None:
    with suppress(OSError), path.open("wb", buffering=0) as ballast:
        while ballast.write(bytes(_MB)) == _MB:
            pass


def _needs_disk() -> str:
    try:
        import mcap
    except ImportError:
        return "needs mcap (pip install 'stream-avs[record]')"
    assert mcap
    if os.geteuid() != 0:
        return "needs root, to mount a small disk"
    return ""


DRILLS = (
    Drill(name="cpu-starved", what="other processes take all processors", act=_starved, bound_s=5.0),
    Drill(
        name="disk-full", what="recording and overlay video run out of room", act=_disk_full,
        needs=_needs_disk, bound_s=None,
    ),
)  # fmt: skip
