"""Masks out over ZeroMQ: one socket, both profiles, never waiting for anybody.

One XPUB socket serves "latest" and "stream" at one address: their topics differ, and ZeroMQ filters
at the publisher, so a subscriber receives only the layout it asked for. XPUB also tells who
subscribes to what; a layout nobody wants is not made.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from types import TracebackType

import zmq
from zmq.auth.thread import ThreadAuthenticator

from stream_avs.clock import monotonic_ns
from stream_avs.config import PublishConfig
from stream_avs.errors import PublishError, WireError
from stream_avs.ledger import Ledger
from stream_avs.publish import curve, wire
from stream_avs.publish.address import Address, check_bind
from stream_avs.publish.wire import Profile
from stream_avs.types import Event, MaskResult

HEARTBEAT_MS = 1000
HEARTBEAT_TIMEOUT_MS = 3000
_SUBSCRIPTIONS_PER_PUBLISH = 1000
_MAX_SUBSCRIPTION_BYTES = 1024


class Publisher:
    """Publishes the results of one stream; a context manager.

    A subscriber that cannot follow loses messages by itself, after `config.queue` of them, and sees
    the hole in `window_seq`; nobody else is held up. Each message is complete, so one that joins
    late needs nothing from before.

    ZeroMQ sockets are not thread-safe: call `publish` from one thread, `close` after its last call.
    `subscribers` may be read from any thread.

    Args:
        config: address, keys, encoding, queue length.
        stream: name of the stream, the topic.
        ledger: counts results that could not be sent, and clients that were not let in.

    Raises:
        PublishError: the address is malformed, in use, or open to others without keys or `insecure`;
            or a key file is no good.
        ConfigError: keys without a folder of clients, or the other way round.
        WireError: not a stream name.
    """

    def __init__(self, config: PublishConfig, stream: str, ledger: Ledger | None = None) -> None:
        self._config = config
        self._ledger = ledger if ledger is not None else Ledger()
        self._topics = {profile: wire.topic(profile, stream) for profile in Profile}
        self._stream = stream
        self._subscriptions: Counter[bytes] = Counter()
        self.subscribers = 0
        """How many subscriptions reach this stream, as of the latest `publish`."""
        server = curve.server_of(config.key, config.clients, "--publish")
        address = check_bind(config.address, insecure=config.insecure, secured=server is not None)
        # A context of its own, because ending a context waits until the address is free again.
        self._context = zmq.Context()
        self._authenticator: ThreadAuthenticator | None = None
        try:
            self._socket = self._open(server)
            _bind(self._socket, address)
        except BaseException:
            self._end()
            raise
        self.address = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        """The address bound, with the port that was free if `*` was asked for."""

    def publish(self, result: MaskResult) -> None:
        """Send one result to whoever subscribed; returns at once.

        What cannot be sent is counted as `Event.PUBLISH_DROP` and never raised: one bad result must
        not end a stream.

        Raises:
            ValueError: the result is of another stream.
        """
        if result.stream != self._stream:
            raise ValueError(f"result of stream {result.stream!r} given to the publisher of {self._stream!r}")
        self._read_subscriptions()
        wanted = [profile for profile in Profile if self._is_wanted(profile)]
        if not wanted:
            return
        try:
            message = wire.encode(result, self._config.encoding, confidence=self._config.confidence)
            for profile in wanted:
                self._send(profile, message)
        except (WireError, zmq.ZMQError) as error:
            self._ledger.record(Event.PUBLISH_DROP, result.stamp_ns, str(error))

    def close(self) -> None:
        """Free the address; it can be bound again at once. Messages not yet on the wire are lost.

        May be called twice.
        """
        self._socket.close(linger=0)
        self._end()

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, server: curve.Server | None) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.XPUB)
        options = {
            zmq.SNDHWM: self._config.queue,
            zmq.LINGER: 0,
            zmq.HEARTBEAT_IVL: HEARTBEAT_MS,
            zmq.HEARTBEAT_TIMEOUT: HEARTBEAT_TIMEOUT_MS,
            # Report every subscription and its end, not only the first and the last of a topic.
            zmq.XPUB_VERBOSER: 1,
            zmq.MAXMSGSIZE: _MAX_SUBSCRIPTION_BYTES,
        }
        for option, value in options.items():
            socket.setsockopt(option, value)
        if server is not None:
            self._authenticator = server.guard(self._context, socket, self._refused)
        return socket

    def _refused(self, what: str) -> None:
        self._ledger.record(Event.REFUSED, monotonic_ns(), what)

    def _end(self) -> None:
        authenticator, self._authenticator = self._authenticator, None
        if authenticator is not None:
            authenticator.stop()
        self._context.destroy(linger=0)

    def _send(self, profile: Profile, message: wire.WireMessage) -> None:
        if profile is Profile.LATEST:
            self._socket.send(wire.to_packed(message), zmq.NOBLOCK)
        else:
            self._socket.send_multipart(wire.to_parts(message), zmq.NOBLOCK)

    def _is_wanted(self, profile: Profile) -> bool:
        return any(self._topics[profile].startswith(prefix) for prefix in self._subscriptions)

    def _read_subscriptions(self) -> None:
        """Take note of who came and went: each is a message, 1 or 0 and the prefix asked for."""
        for _ in range(_SUBSCRIPTIONS_PER_PUBLISH):
            try:
                data = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                break
            prefix = data[1:]
            # Only prefixes of our own topics are remembered, so nobody can make us remember much.
            if data[:1] not in (b"\0", b"\1") or not any(t.startswith(prefix) for t in self._topics.values()):
                continue
            self._subscriptions[prefix] += 1 if data[0] else -1
            if self._subscriptions[prefix] <= 0:
                del self._subscriptions[prefix]
        self.subscribers = self._subscriptions.total()


def _bind(socket: zmq.Socket[bytes], address: Address) -> None:
    socket.setsockopt(zmq.IPV6, int(address.is_ipv6))
    try:
        socket.bind(address.text)
        if address.path is not None and not str(address.path).startswith("@"):
            os.chmod(address.path, 0o600)
    except (zmq.ZMQError, OSError) as error:
        raise bind_error(address.text, error) from None


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
