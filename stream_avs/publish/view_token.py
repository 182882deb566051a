"""The token in the address of the page: who has it may look. Random at each start, or kept in a file."""

from __future__ import annotations

import hmac
import os
import re
import secrets
import stat
from pathlib import Path

from stream_avs.errors import PublishError

_FORM = re.compile(r"[A-Za-z0-9_-]{32,128}")


def make_token(path: str = "") -> str:
    """Return a token of 256 random bits, URL-safe; with `path`, the one kept in that file.

    Args:
        path: file that keeps the token over restarts, made (mode 0600) if it is not there; "" for none.

    Raises:
        PublishError: the file is open to other users, cannot be read or written, or holds no token.
    """
    if not path:
        return secrets.token_urlsafe(32)
    file = Path(path).expanduser()
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(file)
    except OSError as error:
        raise PublishError(f"token file {file} cannot be made: {error.strerror}", "Choose another") from None
    token = secrets.token_urlsafe(32)
    with os.fdopen(handle, "w", encoding="ascii") as out:
        out.write(token + "\n")
    return token


def is_token(token: str, given: str) -> bool:
    """Compare in a time that does not tell how much of `given` is right."""
    return hmac.compare_digest(token.encode(), given.encode("utf-8", "replace"))


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            text = opened.read(256).decode("ascii", "replace").strip()
    except OSError as error:
        raise PublishError(f"token file {file} cannot be read: {error.strerror}", "Choose another") from None
    if os.name == "posix" and mode & 0o077:
        raise PublishError(
            f"token file {file} is open to other users (mode {mode:04o})", f"Run: chmod 600 {file}"
        )
    if not _FORM.fullmatch(text):
        raise PublishError(
            f"token file {file} holds no token of 32 to 128 letters, digits, _ or -",
            "Delete it: a new one is made",
        )
    return text
