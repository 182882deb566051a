"""Read every file of an AVSBench folder and list what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stream_avs.datasets import avsbench_avss, avsbench_ms3, avsbench_s4
from stream_avs.datasets.avsbench import AvsBenchReader
from stream_avs.datasets.layout import find_tables
from stream_avs.datasets.sample import SPLITS
from stream_avs.errors import DatasetError

Reader = Callable[[Path, str], AvsBenchReader]

KINDS: dict[str, tuple[str, Reader]] = {
    "s4": (avsbench_s4.TABLE, avsbench_s4.S4Dataset),
    "ms3": (avsbench_ms3.TABLE, avsbench_ms3.Ms3Dataset),
    "avss": (avsbench_avss.TABLE, avsbench_avss.AvssDataset),
}
"""Kind -> the table that marks its folder, and its reader."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitCount:
    """One split of one set: clips in the table, frames they have, masks they should have."""

    kind: str
    split: str
    clips: int
    frames: int
    masks: int


def kinds_in(root: Path) -> list[str]:
    """Return the sets found in a folder or two levels below.

    Raises:
        DatasetError: none is there, or `root` is not a folder.
    """
    found = [kind for kind, (table, _) in KINDS.items() if find_tables(root, table)]
    if not found:
        tables = ", ".join(table for table, _ in KINDS.values())
        raise DatasetError(f"{root} holds none of {tables}", "Give the folder the data set was unpacked to")
    return found


def open_splits(root: Path, kind: str) -> list[AvsBenchReader]:
    """Open train, val and test of one set.

    Raises:
        DatasetError: the table is missing or wrong.
    """
    return [KINDS[kind][1](root, split) for split in SPLITS]


def count(reader: AvsBenchReader) -> SplitCount:
    """Count what the table promises."""
    return SplitCount(
        kind=reader.kind,
        split=reader.split,
        clips=len(reader),
        frames=sum(len(clip.frames) for clip in reader.clips),
        masks=sum(mask is not None for clip in reader.clips for mask in clip.masks),
    )


def problems(reader: AvsBenchReader, advance: Callable[[], None]) -> Iterator[DatasetError]:
    """Yield what is wrong with each clip of a split; calls `advance` after each clip.

    Also told: clips that the table names twice.
    """
    seen: dict[Path, str] = {}
    for index, clip in enumerate(reader.clips):
        if clip.folder in seen:
            yield DatasetError(
                f"{reader.kind} clip {clip.name}: {clip.origin} names it again, after {seen[clip.folder]}",
                "Remove one of the lines",
            )
        seen.setdefault(clip.folder, clip.origin)
        yield from reader.problems(index)
        advance()
