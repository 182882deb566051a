"""What happened at each step, one JSON object per line, so that curves survive any interruption."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from stream_avs.json_input import JsonError, decode_json
from stream_avs.training.files import write_text_whole


class History:
    """Appends to a file; a context manager.

    Args:
        path: the file; entries after `step` are forgotten, as the run will go through them again.
        step: steps done so far.
        enabled: False writes nothing.
    """

    def __init__(self, path: Path, step: int, *, enabled: bool = True) -> None:
        self._file: TextIO | None = None
        if not enabled:
            return
        kept = [entry for entry in read_history(path) if entry["step"] <= step]
        write_text_whole(path, "".join(json.dumps(entry) + "\n" for entry in kept))
        self._file = path.open("a", encoding="utf-8")

    def __enter__(self) -> History:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, step: int, **values: float) -> None:
        """Write one entry; values that are not finite are left out."""
        finite = {key: value for key, value in values.items() if math.isfinite(value)}
        if self._file is None:
            return
        self._file.write(json.dumps({"step": step, **finite}) + "\n")
        self._file.flush()


def read_history(path: Path) -> list[dict[str, Any]]:
    """Read all entries; a line that a kill cut short ends the history."""
    entries: list[dict[str, Any]] = []
    if not path.exists():
        return entries
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entries.append(decode_json(line))
        except JsonError:
            break
    return entries
