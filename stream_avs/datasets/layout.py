"""Find the folders and tables of AVSBench, in the ways its archives come out when unpacked."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from stream_avs.datasets.sample import SPLITS
from stream_avs.errors import DatasetError


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of a table: where it stands, and its cells by position and by column name."""

    line: int
    cells: tuple[str, ...]
    named: dict[str, str]


def find_base(root: Path, table: str) -> Path:
    """Return the folder that holds `table`: `root` itself or one at most two levels below.

    Raises:
        DatasetError: there is none, or more than one, or `root` is not a folder.
    """
    found = find_tables(root, table)
    if len(found) > 1:
        places = ", ".join(str(path.parent) for path in found[:3])
        raise DatasetError(f"{root} holds {len(found)} files {table} ({places})", "Give one of them")
    if not found:
        raise DatasetError(f"no {table} in {root} or two levels below", "Give the folder it was unpacked to")
    return found[0].parent


def find_tables(root: Path, table: str) -> list[Path]:
    """Return the files of that name in `root`, or else one level below, or else two.

    Raises:
        DatasetError: `root` is not a folder.
    """
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder", "Give the folder the data set was unpacked to")
    for pattern in (table, f"*/{table}", f"*/*/{table}"):
        if found := sorted(root.glob(pattern)):
            return found
    return []


def unnested(folder: Path) -> Path:
    """Step into folders that hold a folder of their own name, as some archives unpack (v2/v2/...)."""
    while (folder / folder.name).is_dir():
        folder = folder / folder.name
    return folder


def read_table(path: Path, required: tuple[str, ...], min_cells: int = 0) -> list[Row]:
    """Read a csv file with a header; allocates at most 64 times its length (short lines).

    Args:
        path: the file.
        required: column names that must be there.
        min_cells: cells each line must have.

    Raises:
        DatasetError: missing file, missing column, short line, or a `split` that is not one.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *lines = list(csv.reader(file)) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} cannot be read ({error})", "Get the file again") from None
    columns = [name.strip() for name in header]
    for name in required:
        if name not in columns:
            raise DatasetError(
                f"{path} has no column {name!r}, only {', '.join(columns)}", "Get the file of the release"
            )
    rows = []
    for number, cells in enumerate(lines, start=2):
        if not any(cells):
            continue
        if len(cells) < max(len(columns), min_cells):
            raise DatasetError(
                f"{path} line {number} has {len(cells)} cells, the header {len(columns)}", "Correct the line"
            )
        row = Row(line=number, cells=tuple(cells), named=dict(zip(columns, cells, strict=False)))
        if row.named.get("split", "train") not in SPLITS:
            raise DatasetError(
                f"{path} line {number} has split {row.named['split']!r}",
                f"Expected one of: {', '.join(SPLITS)}",
            )
        rows.append(row)
    return rows
