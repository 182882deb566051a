"""`stream-avs weights`: published encoder weights, fetched or put in place by hand."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stream_avs.errors import ConfigError, nearest
from stream_avs.models.architectures import find_preset, preset_names
from stream_avs.models.fetch import Progress, fetch, file_sha256
from stream_avs.models.published import PUBLISHED, Published, files_for, weights_dir


def run(argv: list[str]) -> int:
    """Run `stream-avs weights`; returns 0.

    Raises:
        ConfigError: no such file or preset.
        WeightsError: a file cannot be fetched, or is not the expected one.
    """
    parser = argparse.ArgumentParser(prog="stream-avs weights", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="every file, and whether it is there")
    fetching = commands.add_parser("fetch", help="download files; an interrupted download goes on")
    where = commands.add_parser("where", help="print the folder the files belong in")
    for command in (listing, fetching, where):
        command.add_argument("--weights-dir", type=Path, help="folder; default ~/.cache/stream_avs/weights")
    fetching.add_argument(
        "names", nargs="+", metavar="NAME", help="a file name, or a preset for all it needs"
    )
    fetching.add_argument("--url", default="", help="fetch one file from this address, e.g. a mirror")
    options = parser.parse_args(argv)
    folder = weights_dir(options.weights_dir)
    if options.command == "where":
        print(folder)
    elif options.command == "list":
        print("\n".join(_list(folder)))
    else:
        _fetch_all(_files(options.names), folder, options.url)
    return 0


def _files(names: list[str]) -> list[Published]:
    files: dict[str, Published] = {}
    for name in names:
        presets = preset_names()
        if name not in PUBLISHED and name not in presets:
            raise ConfigError(f"no weights called {name!r}", nearest(name, {*PUBLISHED, *presets}))
        for file in files_for(find_preset(name)) if name in presets else [name]:
            files[file] = PUBLISHED[file]
    return list(files.values())


def _list(folder: Path) -> list[str]:
    lines = [f"folder: {folder}", f"{'':<6}{'file':<42}{'about MB':>8}  what"]
    for file in PUBLISHED.values():
        there = "there" if (folder / file.name).exists() else "-"
        lines.append(f"{there:<6}{file.name:<42}{file.megabytes:>8}  {file.summary}")
    return [*lines, "ESPNetv2 and mn04, the encoders of `consensus` and `nano`, come with the package."]


def _fetch_all(files: list[Published], folder: Path, url: str) -> None:
    if not files:
        print("nothing to fetch: these encoders need no published file, or it comes with the package")
    if url and len(files) != 1:
        raise ConfigError(f"--url {url!r} with {len(files)} files", "Fetch one file at a time from a mirror")
    for file in files:
        _fetch_one(file, folder / file.name, url or file.url)


def _fetch_one(file: Published, target: Path, url: str) -> None:
    if target.exists():
        digest = file_sha256(target)
        if digest.startswith(file.sha256):
            print(f"{target} is there already. {_verdict(file, digest)}")
            return
        print(
            f"{target} has SHA-256 {digest} and should begin {file.sha256}; fetching it again",
            file=sys.stderr,
        )
    with _bar(file.name) as progress:
        digest = fetch(url, target, sha256=file.sha256, progress=progress)
    print(f"{target} fetched. {_verdict(file, digest)}")


def _verdict(file: Published, digest: str) -> str:
    if file.sha256:
        return f"SHA-256 {digest}, begins as published ({file.sha256})"
    return f"SHA-256 {digest}; its authors publish none to compare with"


@contextmanager
def _bar(name: str) -> Iterator[Progress]:
    """Progress bar on the error output."""
    # the bar needs rich, which listing does not
    from rich import progress as rich_progress
    from rich.console import Console

    columns = (
        rich_progress.BarColumn(),
        rich_progress.DownloadColumn(),
        rich_progress.TransferSpeedColumn(),
        rich_progress.TimeRemainingColumn(),
    )
    with rich_progress.Progress("{task.description}", *columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=None)
        yield lambda have, total: bar.update(task, completed=have, total=total)
