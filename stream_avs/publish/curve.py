"""CURVE: encryption and mutual authentication of ZeroMQ sockets (CurveZMQ, RFC 26; ZAP, RFC 27).

The side that binds is the server; it lets in only the clients whose public keys lie in a folder. Each
connection has keys of its own, so what was recorded on one is of no use on another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import zmq
import zmq.utils.z85

from stream_avs.errors import ConfigError
from stream_avs.publish.allowed_keys import AllowedKeys
from stream_avs.publish.doorman import DOMAIN, Doorman
from stream_avs.publish.key_files import MAKE_KEYS, KeyPair, Role, load_public, load_secret

SERVERS = frozenset({Role.ANY, Role.PUBLISHER})
READERS = frozenset({Role.ANY, Role.SUBSCRIBER})
CONTROLLERS = frozenset({Role.CONTROL})
HANDSHAKE_MS = 5000
"""A connection that has not shown its key by then is closed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """What the side that binds needs: its own keys, and who may connect."""

    keys: KeyPair
    allowed: AllowedKeys

    def guard(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        socket: zmq.Socket[bytes],
        refused: Callable[[str], None] = lambda what: None,
    ) -> Doorman:
        """Make `socket` a CURVE server; call before it is bound.

        Args:
            context: of the socket; has no other authenticator.
            socket: to guard.
            refused: told of each client that is not let in, on a thread of its own.

        Returns:
            Whoever lets clients in; stop it after the socket is closed. Without it nobody gets in.
        """
        socket.curve_secretkey = self.keys.secret
        socket.curve_publickey = self.keys.public
        socket.curve_server = True
        socket.setsockopt_string(zmq.ZAP_DOMAIN, DOMAIN)
        # Otherwise everyone is let in while there is no authenticator.
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        return Doorman(context, self.allowed, refused)


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """What the side that connects needs: its own keys, and that of the only server it talks to."""

    keys: KeyPair
    server_public: bytes

    def join(self, socket: zmq.Socket[bytes]) -> None:
        """Make `socket` a CURVE client; call before it is connected."""
        socket.curve_secretkey = self.keys.secret
        socket.curve_publickey = self.keys.public
        socket.curve_serverkey = self.server_public


def server_of(key: str, clients: str, option: str, *, roles: frozenset[Role] = READERS) -> Server | None:
    """Read the keys of the side that binds; None if there are none.

    Args:
        key: path of its secret key file, or "".
        clients: folder with the public key files of those who may connect, or "".
        option: the settings they come from, e.g. "--publish", for errors.
        roles: what the clients' keys may be for.

    Raises:
        ConfigError: one without the other.
        PublishError: a file or the folder is missing, damaged, of another role or open to other users.
    """
    if key and not clients:
        raise ConfigError(
            f"{option}.key is given without {option}.clients", "Name the folder of the clients' .key files"
        )
    if clients and not key:
        raise ConfigError(
            f"{option}.clients is given without {option}.key",
            f"Name this side's own NAME.key_secret file; make one with: {MAKE_KEYS}",
        )
    if not key:
        return None
    keys = load_secret(Path(key).expanduser(), SERVERS)
    return Server(keys=keys, allowed=AllowedKeys(Path(clients).expanduser(), roles))


def client_of(
    key: str, server_key: str, option: str = "-", *, roles: frozenset[Role] = READERS
) -> Client | None:
    """Read the keys of the side that connects; None if there are none.

    Args:
        key: path of its secret key file, or "".
        server_key: path of the server's public key file, or "".
        option: how the settings begin, e.g. "--link.", for errors.
        roles: what the own key may be for.

    Raises:
        ConfigError: one without the other.
        PublishError: a file is missing, damaged, of another role, or the secret one open to others.
    """
    if bool(key) != bool(server_key):
        raise ConfigError(
            f"{option}key and {option}server-key go together on the side that connects",
            f"Give both, or neither; make keys with: {MAKE_KEYS}",
        )
    if not key:
        return None
    return Client(
        keys=load_secret(Path(key).expanduser(), roles),
        server_public=load_public(Path(server_key).expanduser(), SERVERS),
    )
