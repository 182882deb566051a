"""Who may connect: the public key files in a folder, read again when the folder changes."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

from stream_avs.errors import PublishError
from stream_avs.publish.key_files import MAKE_KEYS, Role, load_listed

Fingerprint = tuple[tuple[str, int, int, int], ...]


class AllowedKeys:
    """The keys of a folder of NAME.key files. Thread-safe.

    A file that is added counts from the next connection on; what is removed, and whom that shows out,
    is the matter of `Doorman`. A file that appears later and is no good is left out, and named in
    `problems`.

    Args:
        folder: of NAME.key files.
        roles: what the keys may be for.

    Raises:
        PublishError: no such folder, one that other users can write to, no key in it, or a file that
            `load_listed` refuses.
    """

    def __init__(self, folder: Path, roles: frozenset[Role]) -> None:
        self._folder = folder
        self._roles = roles
        self._lock = threading.Lock()
        self._seen: Fingerprint | None = None
        self._names: dict[bytes, str] = {}
        self._problems: tuple[str, ...] = ()
        if not folder.is_dir():
            raise PublishError(
                f"folder of client keys {folder} does not exist", f"Make keys with: {MAKE_KEYS}"
            )
        if os.name == "posix" and folder.stat().st_mode & 0o022:
            raise PublishError(
                f"folder of client keys {folder} is writable by other users, who could let themselves in",
                f"Run: chmod go-w {folder}",
            )
        files = sorted(folder.glob("*.key"))
        if not files:
            raise PublishError(
                f"folder {folder} holds no client key, so nobody could connect",
                "Copy the NAME.key file of each client there",
            )
        for path in files:
            load_listed(path, roles)

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with files that are left out."""
        with self._lock:
            self._refresh()
            return self._problems

    def name_of(self, public: bytes) -> str | None:
        """NAME of the file that holds this key, Z85; None if nobody has it."""
        with self._lock:
            self._refresh()
            return self._names.get(public)

    def __contains__(self, public: bytes) -> bool:
        return self.name_of(public) is not None

    def _refresh(self) -> None:
        seen = self._fingerprint()
        if seen == self._seen:
            return
        names: dict[bytes, str] = {}
        problems = []
        for name, *_ in seen:
            try:
                names[load_listed(self._folder / name, self._roles)] = name.removesuffix(".key")
            except PublishError as error:
                problems.append(str(error))
        self._seen, self._names, self._problems = seen, names, tuple(problems)

    def _fingerprint(self) -> Fingerprint:
        """What tells one state of the folder from another; empty if the folder is gone."""
        found = []
        try:
            for path in self._folder.glob("*.key"):
                with contextlib.suppress(FileNotFoundError):  # removed while we looked
                    state = path.stat()
                    found.append((path.name, state.st_mtime_ns, state.st_size, state.st_mode))
        except OSError:
            return ()  # nobody is let in until it can be read again
        return tuple(sorted(found))
