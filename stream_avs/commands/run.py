"""`stream-avs run`: a source in, masks out, until it ends or Ctrl-C."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from stream_avs.capture.open_source import make_source
from stream_avs.capture.tap import chain
from stream_avs.commands.arguments import calibrated, parse_arguments, take
from stream_avs.commands.extras import RunCommand, open_extras, short_options
from stream_avs.commands.status_view import StatusView, summary
from stream_avs.config import Pace, RunConfig, load_yaml
from stream_avs.control.session_socket import ControlSocket
from stream_avs.engine.load import load_models
from stream_avs.errors import PublishError
from stream_avs.ledger import Ledger
from stream_avs.observe.session import open_monitor
from stream_avs.pipeline import Pipeline, follow
from stream_avs.publish.overlay_tap import OverlayTap
from stream_avs.publish.zeromq import Publisher
from stream_avs.service.heartbeat import heartbeat_of
from stream_avs.service.notify import Notifier
from stream_avs.service.shutdown import Shutdown

DESCRIPTION = """\
Point a camera, file or stream at the network and publish, for every frame, the pixels that sound.

Settings may come from a YAML file (`--config FILE`) with the same names as the options below; options
win over the file. `--publish ADDRESS` is short for `--publish.address ADDRESS`, `--record FILE` for
`--record.path FILE`, `--view` for `--view.serve` (a page in the browser), `--control ADDRESS` for
`--control.address ADDRESS` (see `stream-avs control --help`).

Nothing can be reached from other machines unless it has keys (`--publish.key`, see `stream-avs keygen
--help`) or `--insecure` is given, short for `--publish.insecure`, `--view.insecure` and so on.
"""


def run(argv: list[str]) -> int:
    """Run one live session; returns the exit code."""
    config = parse(argv)
    source = make_source(config)
    # Left from right to left: publishers before recorders, and both after the pipeline.
    with (
        Notifier.from_environment() as notifier,
        Shutdown(notifier.stopping) as ending,
        ExitStack() as stack,
        ExitStack() as publishers,
    ):
        ledger = Ledger()
        monitor = open_monitor(config.name, config.metrics, config.log, ledger, stack)
        publisher = None
        if config.publish.address:
            publisher = publishers.enter_context(Publisher(config.publish, config.name, ledger))
        overlay = _overlay(config, ledger, stack)
        load = partial(load_models, config)
        model, small = load()
        extras = open_extras(config, model.id, ledger, stack)
        listeners = [part.publish for part in (publisher, overlay) if part is not None]
        control = ControlSocket(config.control, config)
        listeners.append(monitor.publish)
        tap = chain(control.tap, extras.tap, overlay.wrap if overlay is not None else None)
        pipeline = Pipeline(config, source, model, (*listeners, *extras.listeners), tap, ledger, small, load)
        monitor.watch(pipeline, model.id, lambda: publisher.subscribers if publisher is not None else 0)
        commands = control.open(pipeline, ledger, publishers)
        with pipeline, ending.session():
            info = pipeline.start()
            title = f"{config.name} <- {info.name}"
            notes = (*info.notes, *model.notes, *extras.notes, *commands, *_notes(config))
            heart = heartbeat_of(pipeline, notifier)
            with StatusView(title, notes, enabled=config.status) as view:

                def tick() -> None:
                    readers = publisher.subscribers if publisher is not None else 0
                    view.show(pipeline.snapshot(), pipeline.captured, readers)
                    heart.tick()

                follow(pipeline, config.duration_s, tick)
    for line in (summary(pipeline.snapshot(), pipeline.captured), *extras.reports()):
        print(line, file=sys.stderr)
    if overlay is not None:
        print(overlay.report(), file=sys.stderr)
        if not overlay.whole:
            return PublishError.exit_code
    return extras.exit_code


def parse(argv: list[str]) -> RunCommand:
    """Build the configuration from the command line and, with `--config`, a YAML file.

    Raises:
        ConfigError: the file or a value is wrong.
    """
    argv = ["--publish.address" if a == "--publish" else a for a in short_options(argv)]
    argv = [a.replace("--publish=", "--publish.address=", 1) for a in argv]
    path, argv = take(argv, "--config")
    default: RunCommand | None = None
    if path:
        source, _ = take(argv, "--source")
        default = load_yaml(Path(path), RunCommand, **({"source": source} if source else {}))
    return calibrated(parse_arguments(RunCommand, "run", argv, DESCRIPTION, default))


def _overlay(config: RunConfig, ledger: Ledger, stack: ExitStack) -> OverlayTap | None:
    if not config.overlay:
        return None
    wait = config.media.pace is Pace.FAST  # a file can be asked to wait until its picture is written
    return stack.enter_context(OverlayTap(Path(config.overlay), ledger, wait=wait))


def _notes(config: RunCommand) -> tuple[str, ...]:
    notes = []
    if config.publish.address:
        hint = f"stream-avs subscribe {config.publish.address} --stream {config.name}"
        hint += " --key YOURS.key_secret --server-key THIS.key" if config.publish.key else ""
        notes.append(f"masks on {config.publish.address}; to see them: {hint}")
    if config.overlay:
        notes.append(f"overlay video to {config.overlay}")
    if config.metrics.address:
        notes.append(f"figures on http://{config.metrics.address}/metrics, health on /healthz")
    notes.append("Ctrl-C ends")
    return tuple(notes)
