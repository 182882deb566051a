"""`stream-avs dataset`: check AVSBench folders; write composed scenes in their layouts."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from stream_avs.datasets.check import KINDS, count, kinds_in, open_splits, problems
from stream_avs.datasets.sample import SPLITS
from stream_avs.datasets.scenes import ProceduralSource, SceneConfig
from stream_avs.datasets.scenes.assets import AssetLibrary
from stream_avs.datasets.scenes.source import SceneSource
from stream_avs.datasets.scenes.write import Layout, write_scenes
from stream_avs.errors import DatasetError


def run(argv: list[str]) -> int:
    """Run `stream-avs dataset`; returns 0, or 7 when a check finds something wrong.

    Raises:
        DatasetError: the folder or a table in it is missing or wrong.
        ConfigError: a setting is out of range, or the folder to write to is in use.
    """
    options = _parser().parse_args(argv)
    if options.command == "check":
        return _check(options.root, options.kind)
    return _write(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stream-avs dataset", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="read every file of S4, MS3 or AVSS and list what is wrong")
    check.add_argument("root", type=Path, help="folder the data set was unpacked to")
    check.add_argument("--kind", choices=[*KINDS, "auto"], default="auto", help="default: what is there")
    write = commands.add_parser("write-scenes", help="compose clips and write them as S4, MS3 or AVSS")
    write.add_argument("out", type=Path, help="new folder")
    write.add_argument("--kind", choices=[str(k) for k in Layout], required=True, help="layout of the files")
    write.add_argument("--clips", type=int, default=60, help="over all splits, 70 : 15 : 15 (default 60)")
    write.add_argument("--seed", type=int, default=0, help="same seed, same clips (default 0)")
    write.add_argument("--size-px", type=int, default=224, help="side of the frames (default 224)")
    write.add_argument(
        "--assets", type=Path, help="folder of masked images and sounds; default: coloured shapes and tones"
    )
    return parser


def _check(root: Path, kind: str) -> int:
    console = Console(highlight=False)
    found = 0
    for name in kinds_in(root) if kind == "auto" else [kind]:
        readers = open_splits(root, name)
        with _progress(console) as progress:
            task = progress.add_task(f"checking {name}", total=sum(map(len, readers)))
            for reader in readers:
                for problem in problems(reader, partial(progress.advance, task)):
                    found += 1
                    console.print(str(problem), markup=False, soft_wrap=True)
        for counted in map(count, readers):
            console.print(
                f"{name:<5}{counted.split:<6}{counted.clips:>6} clips"
                f"{counted.frames:>8} frames{counted.masks:>8} masks"
            )
    console.print("no problem found" if not found else f"{found} problems found")
    return DatasetError.exit_code if found else 0


def _write(options: argparse.Namespace) -> int:
    console = Console(highlight=False)
    layout = Layout(options.kind)
    with _progress(console) as progress:
        task = progress.add_task("composing", total=options.clips)
        out = write_scenes(
            options.out,
            layout,
            _sources(options.assets),
            clips=options.clips,
            seed=options.seed,
            config=SceneConfig(size_px=options.size_px),
            progress=lambda _: progress.advance(task),
        )
    console.print(f"wrote {options.clips} clips as {layout} to {out}", markup=False, soft_wrap=True)
    return 0


def _sources(assets: Path | None) -> dict[str, SceneSource]:
    if assets is None:
        shapes: SceneSource = ProceduralSource()
        return dict.fromkeys(SPLITS, shapes)
    library = AssetLibrary(assets)
    return {split: library.source(split) for split in SPLITS}


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip
