"""`stream-avs record`: keep everything that was seen, heard and decided."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from stream_avs.capture.address import redact
from stream_avs.capture.open_source import make_source
from stream_avs.capture.passing_sink import PassingSink
from stream_avs.capture.tap import NoSink
from stream_avs.commands.arguments import calibrated, parse_arguments
from stream_avs.config import Pace, RunConfig
from stream_avs.engine.load import Models, load_models
from stream_avs.errors import ConfigError, PublishError, StreamAvsError
from stream_avs.ledger import Ledger
from stream_avs.pipeline import Pipeline, run_until_done
from stream_avs.record.config import RecordConfig
from stream_avs.record.recorder import Recorder
from stream_avs.record.ring import running_pid
from stream_avs.record.settings import recording_info
from stream_avs.service.shutdown import Shutdown

DESCRIPTION = """\
Record a session to an MCAP file: pictures, sound, masks, settings, drops.

`stream-avs record FILE --source webcam` records until Ctrl-C or a limit. With `--record.ring-s 60`, FILE
is a folder, only the last minute is kept, and `stream-avs record save FOLDER` (or SIGUSR1) saves it.
`stream-avs replay FILE` plays it, `stream-avs render FILE` makes a video of it.
"""
TICK_S = 0.25
LINE_EVERY_S = 2.0


@dataclass(frozen=True, kw_only=True)
class RecordCommand(RunConfig):
    """All settings of `stream-avs run`, and those of the recording."""

    masks: bool = True
    """Run the network and record its masks; without, only pictures and sound are recorded."""
    attach: tuple[Path, ...] = ()
    """Files to carry along in the recording, e.g. camera and sync calibrations."""
    record: RecordConfig = field(default_factory=RecordConfig)


def run(argv: list[str]) -> int:
    """Record one session, or ask another to save its ring; returns the exit code."""
    if argv[:1] == ["save"]:
        return _save(argv[1:])
    if argv and not argv[0].startswith("-"):
        argv = ["--record.path", *argv]
    config = calibrated(parse_arguments(RecordCommand, "record", argv, DESCRIPTION))
    if not config.record.path:
        raise ConfigError("no file to record to", "Give it: stream-avs record FILE --source webcam")
    models = load_models(config) if config.masks else None
    info = recording_info(config, models[0].id if models is not None else "", config.attach)
    ledger = Ledger()
    wait = config.media.pace is Pace.FAST
    with Shutdown() as ending, Recorder(config.record, info, ledger, wait=wait) as recorder:
        signal.signal(signal.SIGUSR1, lambda *_: recorder.save())
        progress = _Progress(recorder, f"recording {redact(config.source)} to {config.record.path}", config)
        with ending.session():
            if models is None:
                _without_network(config, recorder, progress)
            else:
                _with_network(config, models, recorder, ledger, progress)
    print(recorder.report(), file=sys.stderr)
    return 0 if recorder.error is None else recorder.error.exit_code


class _StopError(Exception):
    """A limit has ended the recording."""


class _Progress:
    """A line now and then; on a terminal, one that is written over."""

    def __init__(self, recorder: Recorder, title: str, config: RunConfig) -> None:
        self._recorder = recorder
        self._enabled = config.status
        self._tty = sys.stderr.isatty()
        self._told_s = time.monotonic()
        self.pipeline: Pipeline | None = None
        if self._enabled:
            print(f"{title}; Ctrl-C ends", file=sys.stderr)

    def __call__(self) -> None:
        """Tell how it goes.

        Raises:
            _StopError: nothing more is recorded.
        """
        if self._recorder.error is not None or self._recorder.full:
            raise _StopError
        due = time.monotonic() - self._told_s >= (TICK_S if self._tty else LINE_EVERY_S)
        if not self._enabled or not due:
            return
        self._told_s = time.monotonic()
        line = self._recorder.status()
        if self.pipeline is not None:
            now = self.pipeline.snapshot()
            line += f"; {now.masks} masks, {now.masks_per_s:.1f}/s, age p50 {now.age_p50_ms:.0f} ms"
        print(
            f"\r{line}\x1b[K" if self._tty else line,
            end="" if self._tty else "\n",
            file=sys.stderr,
            flush=True,
        )


def _with_network(
    config: RunConfig, models: Models, recorder: Recorder, ledger: Ledger, progress: _Progress
) -> None:
    source, listeners = make_source(config), (recorder.publish,)
    load = partial(load_models, config)
    pipeline = Pipeline(config, source, models[0], listeners, recorder.tap, ledger, models[1], load)
    progress.pipeline = pipeline
    with pipeline, suppress(_StopError):
        run_until_done(pipeline, config.duration_s, progress, TICK_S)


class _EndSink(PassingSink):
    """Remembers the end."""

    def __init__(self) -> None:
        super().__init__(NoSink())
        self.over = threading.Event()
        self.error: StreamAvsError | None = None

    def ended(self, error: StreamAvsError | None = None) -> None:
        self.error = error
        self.over.set()


def _without_network(config: RunConfig, recorder: Recorder, progress: _Progress) -> None:
    source = make_source(config)
    info = source.open()
    end = _EndSink()
    end_s = time.monotonic() + config.duration_s if config.duration_s else float("inf")
    try:
        source.start(recorder.tap(end, info))
        with suppress(_StopError):
            while time.monotonic() < end_s and not end.over.wait(TICK_S):
                progress()
    finally:
        source.stop()
    if end.error is not None:
        raise end.error


def _save(argv: list[str]) -> int:
    """Ask the process that keeps a ring to save it."""
    if len(argv) != 1:
        raise ConfigError("save needs the folder of a ring", "Run: stream-avs record save FOLDER")
    folder = Path(argv[0])
    pid = running_pid(folder)
    if not pid:
        raise PublishError(
            f"nobody keeps a ring in {folder}",
            f"Start one: stream-avs record {folder} --source webcam --record.ring-s 60",
        )
    before = set(folder.iterdir())
    os.kill(pid, signal.SIGUSR1)
    end_s = time.monotonic() + 5
    while not (new := sorted(set(folder.iterdir()) - before)):
        if time.monotonic() > end_s:
            raise PublishError(f"process {pid} has not saved its ring", "Look at its output")
        time.sleep(0.05)
    print(new[-1])
    return 0
