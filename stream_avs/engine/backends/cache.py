"""The folder of compiled artefacts: found by content, bounded in size. Imports no torch.

Each artefact is a folder. The one least recently used goes first when all together are too large.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

DEFAULT_CACHE = Path("~/.cache/stream_avs/engines")
LIMIT_BYTES = 2_000_000_000
IN_USE_S = 600.0
"""An artefact asked for in the last ten minutes may still be loading somewhere and stays."""
_ABANDONED_S = 86_400.0
_COMPLETE = "complete"
_BUILDING, _GOING = ".building-", ".going-"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One artefact.

    Attributes:
        path: its folder.
        size_bytes: of all its files.
        used_s: when it was last asked for, Unix time.
    """

    path: Path
    size_bytes: int
    used_s: float


def keep(cache: Path, name: str, make: Callable[[Path], None], limit_bytes: int = LIMIT_BYTES) -> Path:
    """Return the artefact `name`; make it if it is not there yet, and make room for it.

    A folder appears under its name only when it is whole, so that a killed build leaves nothing
    that would be believed, and two processes may build the same at once.

    Args:
        cache: where all artefacts lie.
        name: tells everything it was made from.
        make: fills an empty folder.
        limit_bytes: how large all together may grow.

    Raises:
        OSError: the folder cannot be written.
    """
    target = cache.expanduser() / name
    if _touch(target):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=target.parent))
    try:
        make(building)
        (building / _COMPLETE).touch()
        if target.exists() and not (target / _COMPLETE).is_file():
            shutil.rmtree(target)
        try:
            os.rename(building, target)
        except OSError:
            if not (target / _COMPLETE).is_file():  # else another process was first, with the same
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
    trim(cache, limit_bytes)
    return target


def entries(cache: Path = DEFAULT_CACHE) -> list[Entry]:
    """All artefacts, most recently used first."""
    found = []
    for mark in cache.expanduser().glob(f"*/{_COMPLETE}"):
        # another process may take it away meanwhile
        with contextlib.suppress(FileNotFoundError):
            size = sum(f.stat().st_size for f in mark.parent.rglob("*") if f.is_file())
            found.append(Entry(path=mark.parent, size_bytes=size, used_s=mark.stat().st_mtime))
    return sorted(found, key=lambda entry: -entry.used_s)


def trim(cache: Path, limit_bytes: int, in_use_s: float = IN_USE_S) -> list[Entry]:
    """Remove what was not used for longest until the rest fits, and what killed builds left behind.

    Args:
        cache: where all artefacts lie.
        limit_bytes: how large all together may be.
        in_use_s: artefacts used since stay, whatever their size.

    Returns:
        What was removed.
    """
    now_s, total, removed = time.time(), 0, []
    with _alone(cache.expanduser()):
        for entry in entries(cache):
            total += entry.size_bytes
            if total > limit_bytes and now_s - entry.used_s >= in_use_s:
                _remove(entry.path)
                removed.append(entry)
        for left in cache.expanduser().glob(".*-*"):
            with contextlib.suppress(FileNotFoundError):
                if now_s - left.stat().st_mtime >= _ABANDONED_S:
                    shutil.rmtree(left, ignore_errors=True)
    return removed


def clear(cache: Path = DEFAULT_CACHE) -> list[Entry]:
    """Remove every artefact; returns what was removed."""
    return trim(cache, 0, in_use_s=0.0) if cache.expanduser().is_dir() else []


def _touch(target: Path) -> bool:
    try:
        os.utime(target / _COMPLETE)
    except FileNotFoundError:
        return False
    return True


def _remove(path: Path) -> None:
    going = path.with_name(f"{_GOING}{path.name}")
    os.rename(path, going)  # whoever looks for it from here on makes it anew
    shutil.rmtree(going, ignore_errors=True)


@contextlib.contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """One process at a time removes."""
    try:
        import fcntl
    except ImportError:  # Windows: two that remove at once may stumble over each other
        yield
        return
    with (cache / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
