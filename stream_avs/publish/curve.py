"""CURVE: encryption and mutual authentication of ZeroMQ sockets by key files (CurveZMQ, RFC 26).

Keys are the certificate files of pyzmq: NAME.key holds the public key, NAME.key_secret both. The side
that binds is the server; it lets in only the clients whose public keys lie in a folder.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator

from stream_avs.errors import PublishError

MAKE_KEYS = "stream-avs node keygen FOLDER NAME"


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyPair:
    """One side's own keys, Z85."""

    public: bytes
    secret: bytes


def make_keys(folder: Path, name: str) -> tuple[Path, Path]:
    """Write NAME.key and NAME.key_secret (mode 0600) into `folder`; returns both paths.

    Raises:
        PublishError: a file is there already, or the folder cannot be written.
    """
    if not name or not all(c.isalnum() or c in "_-" for c in name):
        raise PublishError(f"key name is {name!r}", "Expected letters, digits, _ or -")
    public, secret = folder / f"{name}.key", folder / f"{name}.key_secret"
    for path in (public, secret):
        if path.exists():
            raise PublishError(f"{path} exists", "Choose another name, or delete it if nobody uses it")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        secret.touch(mode=0o600)  # before the key is in it
        zmq.auth.create_certificates(folder, name)
        secret.chmod(0o600)
    except OSError as error:
        raise PublishError(f"keys cannot be written to {folder}: {error}", "Choose another folder") from None
    return public, secret


def load_secret(path: Path) -> KeyPair:
    """Read a NAME.key_secret file.

    Raises:
        PublishError: not such a file, or readable by other users.
    """
    public, secret = _load(path)
    if secret is None:
        raise PublishError(f"key file {path} has no secret key", "Give the file that ends in .key_secret")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise PublishError(
            f"key file {path} is open to other users (mode {mode:04o})", f"Run: chmod 600 {path}"
        )
    return KeyPair(public=public, secret=secret)


def load_public(path: Path) -> bytes:
    """Read the public key of a NAME.key file, Z85; see `load_secret` for the errors."""
    return _load(path)[0]


def serve(socket: zmq.Socket[bytes], keys: KeyPair) -> None:
    """Make `socket` a CURVE server; call before it is bound. Who may connect is up to `allow`."""
    socket.curve_secretkey = keys.secret
    socket.curve_publickey = keys.public
    socket.curve_server = True


def join(socket: zmq.Socket[bytes], keys: KeyPair, server_public: bytes) -> None:
    """Make `socket` a CURVE client of the server with that key; call before it is connected."""
    socket.curve_secretkey = keys.secret
    socket.curve_publickey = keys.public
    socket.curve_serverkey = server_public


def allow(context: zmq.Context[zmq.Socket[bytes]], folder: Path) -> ThreadAuthenticator:
    """Let only clients whose public key files lie in `folder` connect to the servers of `context`.

    Args:
        context: has no other authenticator.
        folder: of NAME.key files, read now.

    Returns:
        The running authenticator; stop it before the context is closed.

    Raises:
        PublishError: no such folder, or no key in it.
    """
    if not folder.is_dir():
        raise PublishError(f"folder of client keys {folder} does not exist", f"Make keys with: {MAKE_KEYS}")
    if not any(folder.glob("*.key")):
        raise PublishError(
            f"folder {folder} holds no client key, so nobody could connect",
            "Copy the NAME.key file of each client there",
        )
    authenticator = ThreadAuthenticator(context)
    authenticator.start()
    authenticator.configure_curve(domain="*", location=str(folder))
    return authenticator


def _load(path: Path) -> tuple[bytes, bytes | None]:
    try:
        return zmq.auth.load_certificate(path)
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise PublishError(
            f"key file {path} cannot be read: {error}", f"Make keys with: {MAKE_KEYS}"
        ) from None
