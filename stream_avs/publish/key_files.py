"""Key files of CURVE, in the certificate format of pyzmq: made, read and checked. No sockets here.

NAME.key holds the public key and may be given away; NAME.key_secret holds both and stays. A key may
have a role, written into both files: a key made to read masks does not open the control socket, even
if its file is put into the wrong folder.
"""

from __future__ import annotations

import enum
import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

import zmq
import zmq.utils.z85

from stream_avs.errors import PublishError

MAKE_KEYS = "stream-avs keygen FOLDER NAME"
MAX_FILE_BYTES = 4096


class Role(enum.StrEnum):
    """What a key is for."""

    ANY = ""  # to publish and to read, not to control
    PUBLISHER = "publisher"  # the side that binds: masks, frames and sound, control socket
    SUBSCRIBER = "subscriber"  # to read masks, frames and sound
    CONTROL = "control"  # to command a running session


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyFile:
    """What a key file holds.

    Attributes:
        public, secret: keys, Z85; `secret` is None in a public key file.
        role: what the key is for.
    """

    public: bytes
    secret: bytes | None
    role: Role


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyPair:
    """One side's own keys, Z85."""

    public: bytes
    secret: bytes


def make_keys(folder: Path, name: str, role: Role = Role.ANY) -> tuple[Path, Path]:
    """Write NAME.key and NAME.key_secret (mode 0600) into `folder`; returns both paths.

    Raises:
        PublishError: not a name, a file is there already, or the folder cannot be written.
    """
    if not name or not all(c.isalnum() or c in "_-" for c in name):
        raise PublishError(f"key name is {name!r}", "Expected letters, digits, _ or -")
    public_path, secret_path = folder / f"{name}.key", folder / f"{name}.key_secret"
    for path in (public_path, secret_path):
        if path.exists():
            raise PublishError(f"{path} exists", "Choose another name, or delete it if nobody uses it")
    public, secret = zmq.curve_keypair()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(secret_path, 0o600, _format(role, public, secret))
        _write(public_path, 0o644, _format(role, public, None))
    except OSError as error:
        raise PublishError(f"keys cannot be written to {folder}: {error}", "Choose another folder") from None
    return public_path, secret_path


def load_secret(path: Path, roles: frozenset[Role] | None = None) -> KeyPair:
    """Read a NAME.key_secret file, the own key of one side.

    Args:
        path: the file.
        roles: what the key may be for; None takes any.

    Raises:
        PublishError: not such a file, of another role, or open to other users.
    """
    text, mode = _read(path)
    key = _parse(path, text)
    if key.secret is None:
        raise PublishError(f"key file {path} has no secret key", "Give the file that ends in .key_secret")
    if os.name == "posix" and mode & 0o077:
        raise PublishError(
            f"key file {path} is open to other users (mode {mode:04o})", f"Run: chmod 600 {path}"
        )
    _check_role(path, key, roles)
    return KeyPair(public=key.public, secret=key.secret)


def load_public(path: Path, roles: frozenset[Role] | None = None) -> bytes:
    """Read the public key of a NAME.key file, Z85; see `load_secret` for the errors."""
    key = _parse(path, _read(path)[0])
    _check_role(path, key, roles)
    return key.public


def load_listed(path: Path, roles: frozenset[Role]) -> bytes:
    """Read a public key that is let in because its file lies in a folder.

    Raises:
        PublishError: as `load_public`; or other users may change the file, or it holds a secret key.
    """
    text, mode = _read(path)
    if os.name == "posix" and mode & 0o022:
        raise PublishError(f"key file {path} may be changed by other users", f"Run: chmod go-w {path}")
    key = _parse(path, text)
    if key.secret is not None:
        raise PublishError(
            f"key file {path} holds a client's secret key, which must not leave its machine",
            f"Make new keys with: {MAKE_KEYS}; and copy the NAME.key file only",
        )
    _check_role(path, key, roles)
    return key.public


def _read(path: Path) -> tuple[str, int]:
    """Read a small text file; returns it and its mode."""
    try:
        with path.open("rb") as file:
            # Of what is open, not of what the name leads to by now.
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, error) from None
    if len(data) > MAX_FILE_BYTES:
        raise _unreadable(path, f"it is larger than {MAX_FILE_BYTES} bytes")
    try:
        return data.decode(), mode
    except UnicodeDecodeError:
        raise _unreadable(path, "it is not text") from None


def _unreadable(path: Path, why: object) -> PublishError:
    if isinstance(why, FileNotFoundError):
        why = "it does not exist"
    return PublishError(f"key file {path} cannot be read: {why}", f"Make keys with: {MAKE_KEYS}")


def _parse(path: Path, text: str) -> KeyFile:
    values: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            values[name.strip()] = value.strip(" \t\"'")
    if "public-key" not in values:
        raise _unreadable(path, "it holds no public key")
    try:
        role = Role(values.get("role", ""))
    except ValueError:
        raise _unreadable(path, f"its role is {values['role'][:40]!r}") from None
    public = _key(path, "public key", values["public-key"])
    if "secret-key" not in values:
        return KeyFile(public=public, secret=None, role=role)
    secret = _key(path, "secret key", values["secret-key"])
    if zmq.curve_public(secret) != public:
        raise _unreadable(path, "its two keys do not belong together")
    return KeyFile(public=public, secret=secret, role=role)


def _key(path: Path, name: str, text: str) -> bytes:
    """Z85 text of 32 bytes; never told in an error, for it may be secret."""
    try:
        raw = zmq.utils.z85.decode(text)
        if len(text) == 40 and zmq.utils.z85.encode(raw) == text.encode("ascii"):
            return text.encode("ascii")
    except (ValueError, KeyError, struct.error):
        pass
    raise _unreadable(path, f"its {name} is not 40 characters of Z85")


def _check_role(path: Path, key: KeyFile, roles: frozenset[Role] | None) -> None:
    if roles is not None and key.role not in roles:
        wanted = " or ".join(sorted(role.value or "no role" for role in roles))
        raise PublishError(
            f"key file {path} is of {f'role {key.role.value}' if key.role else 'no role'}",
            f"Expected {wanted}; make one with: {MAKE_KEYS} --role {max(roles)}",
        )


def _format(role: Role, public: bytes, secret: bytes | None) -> str:
    head = "# CURVE key of stream-avs. "
    head += "Secret: it stays on this machine.\n" if secret else "Public: it may be given away.\n"
    metadata = f"    role = {role.value}\n" if role else ""
    keys = f'    public-key = "{public.decode()}"\n'
    keys += f'    secret-key = "{secret.decode()}"\n' if secret else ""
    return f"{head}\nmetadata\n{metadata}curve\n{keys}"


def _write(path: Path, mode: int, text: str) -> None:
    """Write a file that must not exist; the mode holds before the first byte is in it."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        os.fchmod(handle, mode)
        file.write(text)
