"""Masks out over ZeroMQ: one socket, both profiles, never waiting for anybody.

One XPUB socket serves "latest" and "stream" at one address: their topics differ, and ZeroMQ filters
at the publisher, so a subscriber receives only the layout it asked for. A layout nobody wants is not
made.
"""

from __future__ import annotations

from types import TracebackType

import zmq

from stream_avs.clock import monotonic_ns
from stream_avs.config import PublishConfig
from stream_avs.errors import PublishError, WireError
from stream_avs.ledger import Ledger
from stream_avs.publish import curve, wire
from stream_avs.publish.address import check_bind
from stream_avs.publish.wire import Profile
from stream_avs.publish.xpub import XpubSocket
from stream_avs.types import Event, MaskResult


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
        self.subscribers = 0
        """How many subscriptions reach this stream, as of the latest `publish`."""
        server = curve.server_of(config.key, config.clients, "--publish")
        self._socket = XpubSocket(
            check_bind(config.address, insecure=config.insecure, secured=server is not None),
            self._topics.values(),
            server=server,
            refused=self._refused,
            options={zmq.SNDHWM: config.queue, zmq.LINGER: 0},
        )
        self.address = self._socket.address
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
        try:
            self._socket.read()
            self.subscribers = self._socket.count()
            wanted = [profile for profile in Profile if self._socket.wants(self._topics[profile])]
            if not wanted:
                return
            message = wire.encode(result, self._config.encoding, confidence=self._config.confidence)
            for profile in wanted:
                self._send(profile, message)
        except (WireError, PublishError, zmq.ZMQError) as error:
            self._ledger.record(Event.PUBLISH_DROP, result.stamp_ns, str(error))

    def close(self) -> None:
        """Free the address; it can be bound again at once. Messages not yet on the wire are lost.

        May be called twice.
        """
        self._socket.close()

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _refused(self, what: str) -> None:
        self._ledger.record(Event.REFUSED, monotonic_ns(), what)

    def _send(self, profile: Profile, message: wire.WireMessage) -> None:
        if profile is Profile.LATEST:
            self._socket.send([wire.to_packed(message)])
        else:
            self._socket.send(wire.to_parts(message))
