"""What a live session may do beside publishing masks: be recorded, and be looked at."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stream_avs.capture.tap import Tap, chain
from stream_avs.config import Pace, RunConfig
from stream_avs.control.settings import ControlConfig
from stream_avs.ledger import Ledger
from stream_avs.observe.config import LogConfig, MetricsConfig
from stream_avs.pipeline import ResultListener
from stream_avs.publish.view_config import ViewConfig
from stream_avs.record.config import FoxgloveConfig, RecordConfig, RerunConfig

if TYPE_CHECKING:
    from stream_avs.record.recorder import Recorder


@dataclass(frozen=True, kw_only=True)
class RunCommand(RunConfig):
    """One live session, and who looks on."""

    record: RecordConfig = field(default_factory=RecordConfig)
    view: ViewConfig = field(default_factory=ViewConfig)
    control: ControlConfig = field(default_factory=ControlConfig)
    foxglove: FoxgloveConfig = field(default_factory=FoxgloveConfig)
    rerun: RerunConfig = field(default_factory=RerunConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    log: LogConfig = field(default_factory=LogConfig)


@dataclass(frozen=True, kw_only=True)
class Extras:
    """Parts that look on; give `tap` and `listeners` to the pipeline.

    Attributes:
        listeners: called with each result.
        tap: sees what the source hands over; None if nobody looks.
        notes: where to find them, for a person.
        recorder: the recording, or None.
    """

    listeners: tuple[ResultListener, ...] = ()
    tap: Tap | None = None
    notes: tuple[str, ...] = ()
    recorder: Recorder | None = None

    def reports(self) -> tuple[str, ...]:
        """Lines for the end of the session."""
        return (self.recorder.report(),) if self.recorder is not None else ()

    @property
    def exit_code(self) -> int:
        """0, or that of the error that stopped the recording."""
        error = self.recorder.error if self.recorder is not None else None
        return error.exit_code if error is not None else 0


def short_options(argv: list[str]) -> list[str]:
    """Spell out `--record FILE`, `--view`, `--metrics ADDRESS`, `--foxglove` and the like."""
    long = {
        "--record": "--record.path",
        "--view": "--view.serve",
        "--control": "--control.address",
        "--metrics": "--metrics.address",
        "--foxglove": "--foxglove.serve",
        "--rerun": "--rerun.to",
    }
    argv = [long.get(a, a) for a in argv]
    return [a.replace("--record=", "--record.path=", 1) for a in argv]


def open_extras(config: RunCommand, model_id: str, ledger: Ledger, stack: ExitStack) -> Extras:
    """Open what `config` asks for; `stack` closes it.

    Raises:
        PublishError: the recording cannot be made, or the page not be served.
        MissingPackageError: mcap or aiohttp is not installed.
    """
    listeners: list[ResultListener] = []
    taps: list[Tap | None] = []
    notes: list[str] = []
    recorder = None
    if config.record.path:
        # Imported here, and below: each package is needed by those who ask for it only.
        from stream_avs.record.recorder import Recorder
        from stream_avs.record.settings import recording_info

        info = recording_info(config, model_id)
        wait = config.media.pace is Pace.FAST
        recorder = stack.enter_context(Recorder(config.record, info, ledger, wait=wait))
        signal.signal(signal.SIGUSR1, lambda *_: recorder.save())
        taps.append(recorder.tap)
        listeners.append(recorder.publish)
        ring = f"the last {config.record.ring_s:g} s, kept by `stream-avs record save {config.record.path}`"
        notes.append(f"recording {ring if config.record.ring_s else f'to {config.record.path}'}")
    if config.view.serve:
        from stream_avs.publish.view_feed import ViewFeed
        from stream_avs.publish.websocket import ViewServer

        feed = ViewFeed()
        server = stack.enter_context(ViewServer(config.view, feed, ledger))
        taps.append(feed.tap(config.name))
        listeners.append(feed.publish)
        notes.append(f"to see it: open {server.url} in a browser")
    if config.foxglove.serve:
        from stream_avs.record.foxglove_live import FoxgloveLive

        live = stack.enter_context(FoxgloveLive(config.foxglove, config.name, ledger))
        taps.append(live.tap)
        listeners.append(live.publish)
        notes.append(f"in Foxglove: open connection {live.url}")
    if config.rerun.to:
        from stream_avs.record.rerun_log import RerunLog

        log = stack.enter_context(RerunLog(config.rerun, config.name, ledger))
        taps.append(log.tap)
        listeners.append(log.publish)
        notes.append(f"in Rerun: {config.rerun.to}")
    return Extras(listeners=tuple(listeners), tap=chain(*taps), notes=tuple(notes), recorder=recorder)
