"""Which addresses may be bound and connected.

Masks show what a camera sees, and anyone who can connect can read them. Without authentication
only this machine, and over ipc only this user, may connect, unless the user says `insecure`. With
CURVE keys (see `curve`) any address may be bound.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from stream_avs.errors import PublishError
from stream_avs.publish.key_files import MAKE_KEYS

_TCP = re.compile(r"tcp://(?P<host>\[[^\]]+\]|[^:/\[\]]+):(?P<port>\d{1,5}|\*)")
_MAX_IPC_BYTES = 107  # sockaddr_un.sun_path on Linux, less its terminating zero
_EXAMPLES = "Expected e.g. tcp://127.0.0.1:5557 or ipc:///run/user/1000/stream-avs/masks"


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """One ZeroMQ endpoint.

    Attributes:
        text: as ZeroMQ takes it.
        host: name or IP address, without brackets; "" for ipc.
        path: socket file; None for tcp.
    """

    text: str
    host: str = ""
    path: Path | None = None

    @property
    def is_ipv6(self) -> bool:
        """True if the socket has to be told to use IPv6."""
        return ":" in self.host


def parse(address: str) -> Address:
    """Read tcp://HOST:PORT or ipc://PATH.

    Raises:
        PublishError: neither, or a port or path that cannot be.
    """
    if address.startswith("ipc://"):
        path = address.removeprefix("ipc://")
        if not path or len(os.fsencode(path)) > _MAX_IPC_BYTES:
            raise PublishError(
                f"address {address!r} has a path of 0 or over {_MAX_IPC_BYTES} bytes", _EXAMPLES
            )
        return Address(text=address, path=Path(path))
    match = _TCP.fullmatch(address)
    if match is None or (match["port"] != "*" and int(match["port"]) > 65535):
        raise PublishError(f"address {address!r} is neither tcp://HOST:PORT nor ipc://PATH", _EXAMPLES)
    host = match["host"].strip("[]")
    return Address(text=address, host=host)


def check_bind(
    address: str, *, insecure: bool, secured: bool = False, option: str = "publish", what: str = "masks"
) -> Address:
    """Return the endpoint to bind, if only those may connect who should.

    Args:
        address: to bind.
        insecure: the user allows that others reach it without authentication.
        secured: CURVE keys guard it.
        option: name of the group of settings, for errors.
        what: what could be read there, for errors.

    Raises:
        PublishError: others could reach it without keys, or an ipc path is in use or cannot be made.
    """
    parsed = parse(address)
    if parsed.path is not None:
        _check_ipc(parsed.path, address, insecure)
    elif parsed.host == "localhost":
        # ZeroMQ binds addresses and interfaces, not names.
        return parse(address.replace("localhost", "127.0.0.1", 1))
    elif not (is_loopback(parsed.host) or insecure or secured):
        raise PublishError(
            f"address {address} can be reached from other machines, and {what} would go out without"
            " authentication",
            f"Make keys with `{MAKE_KEYS}` and give --{option}.key and --{option}.clients; or bind"
            " tcp://127.0.0.1:PORT and let others in through `ssh -L PORT:127.0.0.1:PORT`;"
            f" or accept the risk with --insecure (--{option}.insecure)",
        )
    return parsed


def is_loopback(host: str) -> bool:
    """True if only this machine reaches a host, given as IP address or as name of an interface."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # "*" or the name of an interface
        return host == "lo"


def _check_ipc(path: Path, address: str, insecure: bool) -> None:
    if str(path).startswith("@"):
        if not insecure:
            raise PublishError(
                f"address {address} is open to every user of this machine",
                "Use a path in a folder of your own",
            )
        return
    folder = path.parent
    if not folder.is_dir():
        raise PublishError(f"folder {folder} of {address} does not exist", f"Run: mkdir -p -m 700 {folder}")
    if folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not insecure:
        raise PublishError(
            f"folder {folder} of {address} is writable by other users, who could put their socket there",
            "Use a folder of your own, e.g. one made with: mkdir -p -m 700 ~/.stream-avs;"
            " or accept the risk with --insecure",
        )
    # ZeroMQ deletes whatever lies at the path before it binds.
    if path.exists() and not path.is_socket():
        raise PublishError(f"{path} exists and is not a socket", "Choose another path")
    if path.is_socket() and _answers(path):
        raise PublishError(
            f"address {address} is in use by another process",
            "Stop that process or choose another path",
        )


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True
