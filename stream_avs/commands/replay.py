"""`stream-avs replay`: a recorded session again, as a source or as a test."""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from stream_avs.commands import run as run_command
from stream_avs.commands.arguments import parse_arguments
from stream_avs.config import ModelConfig, RunConfig, WindowConfig
from stream_avs.engine.warm_up import warm_up
from stream_avs.errors import ConfigError
from stream_avs.models.registry import load_model
from stream_avs.record.codec import to_json
from stream_avs.record.compare import Comparison, compare, report
from stream_avs.record.reader import Recording
from stream_avs.record.reproduce import Pair, Reproducer
from stream_avs.record.settings import recorded_settings

DESCRIPTION = """\
Make every recorded mask again, from bit-equal windows, and tell what differs: masks, age, drops.

Settings are those of the recording; options change them, e.g. `--model.preset`. Without `--compare` the
recording is played to the network as a live source would be, with all options of `stream-avs run`.
"""


@dataclass(frozen=True, kw_only=True)
class CompareCommand:
    """What to compare with a recording."""

    file: Annotated[Path, tyro.conf.Positional]
    """The recording: an MCAP file, or a folder a ring has saved."""
    compare: bool = True
    """Make all masks again and tell the differences."""
    strict: bool = False
    """Return 1 unless every result is equal."""
    json: bool = False
    """Print one JSON object."""
    model: ModelConfig = field(default_factory=ModelConfig)
    window: WindowConfig = field(default_factory=WindowConfig)


def run(argv: list[str]) -> int:
    """Play a recording or compare it; returns the exit code."""
    if not argv or argv[0] in ("-h", "--help"):
        argv = ["FILE", "--compare", "--help"]
    file, *rest = argv
    if file.startswith("-"):
        raise ConfigError(f"the recording comes first, found {file}", "Run: stream-avs replay FILE [options]")
    if "--help" in rest:
        parse_arguments(CompareCommand, "replay", ["FILE", "--help"], DESCRIPTION)
    recording = Recording(Path(file))
    settings = recorded_settings(recording)
    if "--compare" in rest:
        return _compare(recording, settings, [file, *rest])
    return _play(settings, rest)


def _play(settings: RunConfig, rest: list[str]) -> int:
    """Run a session over the recording: its settings as a file, the options over it."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(to_json(settings))  # JSON is YAML
        file.flush()
        return run_command.run(["--config", file.name, "--source", settings.source, *rest])


def _compare(recording: Recording, settings: RunConfig, argv: list[str]) -> int:
    default = CompareCommand(file=Path(argv[0]), model=settings.model, window=settings.window)
    command = parse_arguments(CompareCommand, "replay", argv, DESCRIPTION, default)
    settings = dataclasses.replace(settings, model=command.model, window=command.window)
    model = load_model(settings.model)
    small_px = settings.overload.small_px
    small = load_model(dataclasses.replace(settings.model, input_px=small_px)) if small_px else None
    for each in (model, small):
        if each is not None:
            warm_up(each)  # else the first ages would count what is made once
    found = compare(_shown(Reproducer(recording, settings, model, small).pairs()))
    found = dataclasses.replace(found, damage=recording.damage())
    if recording.picture == "jpeg":
        note = "pictures were recorded as JPEG: masks may differ for that alone"
        found = dataclasses.replace(found, damage="; ".join(filter(None, (found.damage, note))))
    if not found.results:
        raise ConfigError(f"{recording.path} holds no masks to compare with", "Record it without --no-masks")
    print(_json(found) if command.json else report(found))
    return 0 if found.same or not command.strict else 1


def _json(found: Comparison) -> str:
    return json.dumps(dataclasses.asdict(found) | {"same": found.same}, indent=2)


def _shown(pairs: Iterator[Pair]) -> Iterator[Pair]:
    """Count along on a terminal."""
    shown = sys.stderr.isatty()
    for k, pair in enumerate(pairs, start=1):
        if shown:
            print(f"\r{k} masks made again\x1b[K", end="", file=sys.stderr, flush=True)
        yield pair
    if shown:
        print("\r\x1b[K", end="", file=sys.stderr)
