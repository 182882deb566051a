"""The socket that masks, and frames and sound, go out on: XPUB, with keys or without.

XPUB tells who subscribes to what, so that what nobody wants is not made.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Mapping, Sequence

import zmq
from zmq.auth.thread import ThreadAuthenticator

from stream_avs.errors import PublishError
from stream_avs.publish import curve
from stream_avs.publish.address import Address
from stream_avs.publish.subscriptions import MAX_BYTES, MAX_CURVE_BYTES, PER_READ, QUEUE, Subscriptions

HEARTBEAT_MS = 1000
HEARTBEAT_TIMEOUT_MS = 3000


class XpubSocket:
    """Bound until it is closed. Use from one thread.

    A subscriber that floods it with subscriptions ends all connections: honest ones come back by
    themselves, and the memory that ZeroMQ spent on the flood is free again.

    Args:
        address: to bind, checked.
        topics: all that will be sent.
        server: keys, and who may connect; None for everybody.
        refused: told of clients that are not let in, and of floods; from any thread.
        options: of the socket, beside those that are always set.

    Raises:
        PublishError: the address cannot be bound.
    """

    def __init__(
        self,
        address: Address,
        topics: Iterable[bytes],
        *,
        server: curve.Server | None,
        refused: Callable[[str], None],
        options: Mapping[int, int],
    ) -> None:
        self._place = address
        self._server = server
        self._refused = refused
        self._options = options
        self._subscriptions = Subscriptions(topics)
        self._authenticator: ThreadAuthenticator | None = None
        # A context of its own, because ending a context waits until the address is free again.
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self._socket = self._bind(address.text)
        except BaseException:
            self._end()
            raise
        self.address = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        """The address bound, with the port that was free if `*` was asked for."""

    def read(self) -> None:
        """Take note of who came and went."""
        for _ in range(PER_READ):
            try:
                self._subscriptions.take(self._socket.recv(zmq.NOBLOCK))
            except zmq.Again:
                return
            if self._subscriptions.flooded:
                self._begin_anew()
                return

    def wants(self, topic: bytes) -> bool:
        """True if somebody subscribed to it, as of the latest `read`."""
        return self._subscriptions.wants(topic)

    def count(self, topic: bytes | None = None) -> int:
        """How many subscriptions reach `topic`, or any, as of the latest `read`."""
        return self._subscriptions.count(topic)

    def send(self, parts: Sequence[bytes | memoryview]) -> None:
        """Send one message to those who want it, without waiting for any of them.

        Raises:
            zmq.ZMQError: it could not be sent.
        """
        self._socket.send_multipart(parts, zmq.NOBLOCK)

    def close(self, linger_ms: int = 0) -> None:
        """Free the address, after at most `linger_ms` for what is on its way. May be called twice."""
        self._socket.close(linger=linger_ms)
        self._end()

    def _begin_anew(self) -> None:
        self._refused("a flood of subscriptions; all connections begin anew")
        self.close()
        self._subscriptions.clear()
        self._context = zmq.Context()
        self._socket = self._bind(self.address)

    def _bind(self, address: str) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.XPUB)
        fixed: dict[int, int] = {
            zmq.HEARTBEAT_IVL: HEARTBEAT_MS,
            zmq.HEARTBEAT_TIMEOUT: HEARTBEAT_TIMEOUT_MS,
            # Report every subscription and its end, not only the first and the last of a topic.
            zmq.XPUB_VERBOSER: 1,
            zmq.MAXMSGSIZE: MAX_BYTES if self._server is None else MAX_CURVE_BYTES,
            zmq.RCVHWM: QUEUE,
            zmq.HANDSHAKE_IVL: curve.HANDSHAKE_MS,
            zmq.IPV6: int(self._place.is_ipv6),
        }
        for option, value in {**fixed, **self._options}.items():
            socket.setsockopt(option, value)
        if self._server is not None:
            self._authenticator = self._server.guard(self._context, socket, self._refused)
        try:
            socket.bind(address)
            if self._place.path is not None and not str(self._place.path).startswith("@"):
                os.chmod(self._place.path, 0o600)
        except (zmq.ZMQError, OSError) as error:
            raise bind_error(address, error) from None
        return socket

    def _end(self) -> None:
        authenticator, self._authenticator = self._authenticator, None
        if authenticator is not None:
            authenticator.stop()
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
