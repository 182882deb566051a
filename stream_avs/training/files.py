"""Write a file whole or not at all, whatever happens in between."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from stream_avs.errors import ConfigError

_MARK = ".partial"


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Replace `path` in one step: write beside it, flush to the disk, rename.

    A crash, a kill or a full disk at any moment leaves the old file as it was.

    Args:
        path: the file to replace.
        write: writes the new content to the path it is given, in the same folder.

    Raises:
        OSError: no space, no permission; the old file is untouched.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}{_MARK}")
    try:
        partial.touch()
        mode = partial.stat().st_mode  # as the user's umask has it; some writers make private files
        write(partial)
        partial.chmod(mode)
        _flush(partial)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _flush(path.parent)


def write_text_whole(path: Path, text: str) -> None:
    """Like `write_whole`, for text."""
    write_whole(path, lambda partial: _write_text(partial, text))


def remove_partial(folder: Path) -> None:
    """Delete what a killed process left behind in `folder`."""
    for path in folder.glob(f".*{_MARK}"):
        path.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Create a folder to write to, parents included.

    Raises:
        ConfigError: it cannot be created or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".probe.{os.getpid()}{_MARK}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            f"cannot write to {path}: {error.strerror or error}", "Choose another folder with --out"
        ) from None


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _flush(path: Path) -> None:
    """Force a file or a folder's entries to the disk; file systems that cannot do so for folders are fine."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError) if path.is_dir() else contextlib.nullcontext():
            os.fsync(handle)
    finally:
        os.close(handle)
