"""The socket that masks, and frames and sound, go out on: XPUB, with keys or without.

XPUB tells who subscribes to what, so that what nobody wants is not made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import zmq

from stream_avs.publish import curve
from stream_avs.publish.address import Address
from stream_avs.publish.bound_socket import BoundSocket
from stream_avs.publish.subscriptions import MAX_BYTES, MAX_CURVE_BYTES, PER_READ, QUEUE, Subscriptions


class XpubSocket:
    """Bound until it is closed. Use from one thread.

    A subscriber that floods it with subscriptions ends all connections, and so does one whose key is
    taken out: honest ones come back by themselves, the memory that ZeroMQ spent on the flood is free
    again, and the owner of the key stays outside.

    Args:
        address: to bind, checked.
        topics: all that will be sent.
        server: keys, and who may connect; None for everybody.
        refused: told of clients that are not let in or shown out, and of floods; from any thread.
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
        self._subscriptions = Subscriptions(topics)
        fixed: dict[int, int] = {
            # Report every subscription and its end, not only the first and the last of a topic.
            zmq.XPUB_VERBOSER: 1,
            zmq.MAXMSGSIZE: MAX_BYTES if server is None else MAX_CURVE_BYTES,
            zmq.RCVHWM: QUEUE,
        }
        self._bound = BoundSocket(
            zmq.XPUB, address, server=server, refused=refused, options={**fixed, **options}
        )
        self.address = self._bound.address
        """The address bound, with the port that was free if `*` was asked for."""

    def read(self) -> None:
        """Take note of who came and went, and show out whose key was taken out.

        Raises:
            PublishError: all connections were ended and the address cannot be bound just now; the next
                `read` tries again.
        """
        self._bound.bind_again()
        if names := self._bound.revoked:
            self._begin_anew(f"key taken out: {names}")
        for _ in range(PER_READ):
            try:
                self._subscriptions.take(self._bound.socket.recv(zmq.NOBLOCK))
            except zmq.Again:
                return
            if self._subscriptions.flooded:
                self._begin_anew("a flood of subscriptions")
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
        self._bound.socket.send_multipart(parts, zmq.NOBLOCK)

    def close(self, linger_ms: int = 0) -> None:
        """Free the address, after at most `linger_ms` for what is on its way. May be called twice."""
        self._bound.close(linger_ms)

    def _begin_anew(self, why: str) -> None:
        self._subscriptions.clear()
        self._bound.begin_anew(why)
