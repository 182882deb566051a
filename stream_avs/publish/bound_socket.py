"""A ZeroMQ socket that others connect to, with keys or without, and that can end all its connections.

ZeroMQ has no way to show one client out. So the socket is closed and bound anew: every client has to
shake hands again, which honest ones do by themselves within their reconnection interval.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping

import zmq

from stream_avs.errors import PublishError
from stream_avs.publish import curve
from stream_avs.publish.address import Address
from stream_avs.publish.doorman import Doorman

HEARTBEAT_MS = 1000
HEARTBEAT_TIMEOUT_MS = 3000


class BoundSocket:
    """Bound until `close`. Use from one thread.

    Args:
        kind: of socket, e.g. zmq.XPUB.
        address: to bind, checked.
        server: keys, and who may connect; None for everybody.
        refused: told of clients that are not let in, and of connections that are ended; from any thread.
        options: of the socket, beside those that are always set.

    Raises:
        PublishError: the address cannot be bound.
    """

    def __init__(
        self,
        kind: int,
        address: Address,
        *,
        server: curve.Server | None,
        refused: Callable[[str], None],
        options: Mapping[int, int],
    ) -> None:
        self._kind = kind
        self._place = address
        self._server = server
        self._refused = refused
        self._options = {
            zmq.HEARTBEAT_IVL: HEARTBEAT_MS,
            zmq.HEARTBEAT_TIMEOUT: HEARTBEAT_TIMEOUT_MS,
            zmq.HANDSHAKE_IVL: curve.HANDSHAKE_MS,
            zmq.IPV6: int(address.is_ipv6),
            **options,
        }
        self._doorman: Doorman | None = None
        self._closed = False
        self._bind(address.text)
        self.address = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)
        """The address bound, with the port that was free if `*` was asked for."""

    @property
    def revoked(self) -> str:
        """NAMEs of clients that are connected, or were, and whose keys have been taken out; or ""."""
        return self._doorman.revoked if self._doorman is not None else ""

    def begin_anew(self, why: str, linger_ms: int = 0) -> None:
        """End all connections and take new ones at the same address.

        Args:
            why: told to `refused`.
            linger_ms: how long to wait for what is on its way.

        Raises:
            PublishError: the address cannot be bound just now; call `bind_again`.
        """
        self._refused(f"{why}; all connections begin anew")
        self._end(linger_ms)
        self.bind_again()

    def bind_again(self) -> None:
        """Bind where `begin_anew` could not; does nothing if bound, or closed for good.

        Raises:
            PublishError: the address cannot be bound just now either.
        """
        if self.socket.closed and not self._closed:
            self._bind(self.address)

    def close(self, linger_ms: int = 0) -> None:
        """Free the address, after at most `linger_ms` for what is on its way. May be called twice."""
        self._closed = True
        self._end(linger_ms)

    def _bind(self, address: str) -> None:
        # A context of its own, because ending a context waits until the address is free again.
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket: zmq.Socket[bytes] = self._context.socket(self._kind)
        try:
            for option, value in self._options.items():
                self.socket.setsockopt(option, value)
            if self._server is not None:
                self._doorman = self._server.guard(self._context, self.socket, self._refused)
            self.socket.bind(address)
            if self._place.path is not None and not str(self._place.path).startswith("@"):
                os.chmod(self._place.path, 0o600)
        except (zmq.ZMQError, OSError) as error:
            self._end(0)
            raise bind_error(address, error) from None
        except BaseException:
            self._end(0)
            raise

    def _end(self, linger_ms: int) -> None:
        self.socket.close(linger=linger_ms)
        doorman, self._doorman = self._doorman, None
        if doorman is not None:
            doorman.stop()
        self._context.destroy()


def bind_error(address: str, error: zmq.ZMQError | OSError) -> PublishError:
    """Say why an address cannot be bound, and what to do."""
    if error.errno == errno.EADDRINUSE:
        return PublishError(
            f"address {address} is in use by another process",
            "Stop that process (for tcp, `ss -ltnp` lists them) or choose another port or path",
        )
    if error.errno == errno.EACCES:
        return PublishError(
            f"address {address} may not be bound by this user",
            "Choose a port above 1023, or a folder you can write to",
        )
    if error.errno in (errno.ENODEV, errno.EADDRNOTAVAIL):
        return PublishError(
            f"address {address} is of no interface of this machine", "Use 127.0.0.1, or see `ip address`"
        )
    return PublishError(f"address {address} cannot be bound: {error}", "Choose another address")
