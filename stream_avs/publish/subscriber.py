"""Masks in over ZeroMQ. Needs numpy, pyzmq and msgspec; no torch.

from stream_avs import subscribe

for result in subscribe("tcp://127.0.0.1:5557"):
    print(result.state, result.sounding)

If the publisher has keys: subscribe(address, key="me.key_secret", server_key="robot.key").
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import TracebackType

import zmq

from stream_avs.clock import monotonic_ns, unix_offset_ns
from stream_avs.errors import PublishError, WireError
from stream_avs.publish import curve, wire
from stream_avs.publish.address import Address, parse
from stream_avs.publish.keepalive import KEEPALIVE
from stream_avs.publish.limits import MAX_MESSAGE_BYTES, MAX_PAYLOADS
from stream_avs.publish.wire import Profile, WireMessage
from stream_avs.types import NS_PER_MS, MaskResult

RECONNECT_MS = 100
RECONNECT_MAX_MS = 2000


class Subscriber:
    """Receives the results of one stream; a context manager and an iterator.

    With profile "latest" the socket keeps the newest message only (ZeroMQ's CONFLATE), so a reader
    however slow always gets a fresh mask. CONFLATE keeps one message per connection whatever its
    topic, and conflates subscriptions too; hence one socket, one connection and one subscription
    per `Subscriber`: open one for each stream.

    Messages that are malformed are counted and skipped. A publisher that goes away and comes back is
    found again by the next `recv`: ZeroMQ renews a subscription only while its socket is used.
    Use from one thread.

    Args:
        address: where the publisher is, e.g. tcp://127.0.0.1:5557.
        stream: name of the stream.
        profile: "latest" or "stream", see `wire.Profile`.
        timeout_s: iterating gives up if nothing at all is heard for this long at first.
        queue: under "stream", messages kept for a reader that lags; later ones are lost.
        key: path of one's own secret key file (NAME.key_secret), for a publisher with keys.
        server_key: path of the publisher's public key file (NAME.key); what anybody else sends is
            not taken.
        on_malformed: called with what was wrong with a message that was skipped.

    Attributes:
        received: results handed out.
        missed: results of the publisher that never arrived, seen from the holes in `window_seq`.
            Under "latest" those are the results that newer ones replaced.
        malformed: messages skipped.
        restarts: how often `window_seq` started over.

    Raises:
        PublishError: the address is malformed, or a key file is no good.
        ConfigError: one of the two keys without the other.
        WireError: not a stream name, or not a profile.
    """

    def __init__(
        self,
        address: str,
        stream: str = "cam0",
        profile: str = Profile.LATEST,
        *,
        timeout_s: float = 5.0,
        queue: int = 1000,
        key: str = "",
        server_key: str = "",
        on_malformed: Callable[[WireError], None] | None = None,
    ) -> None:
        self.address = address
        self.stream = stream
        self.profile = wire.profile_of(profile)
        self.timeout_s = timeout_s
        self.received = self.missed = self.malformed = self.restarts = 0
        self._on_malformed = on_malformed
        self._last_error: WireError | None = None
        self._newest = -1
        self._keys = curve.client_of(key, server_key)
        topic = wire.topic(self.profile, stream)
        self._socket = _connect(parse(address), topic, self.profile, queue, self._keys)

    def recv(self, timeout_s: float | None = None) -> MaskResult | None:
        """Return the next result, or None if none came within `timeout_s` (None waits without end)."""
        end_s = float("inf") if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left_s = end_s - time.monotonic()
            wait_ms = None if left_s == float("inf") else max(0, round(left_s * 1000))
            if not self._socket.poll(wait_ms, zmq.POLLIN):
                return None
            try:
                result = wire.decode(self._read())
            except WireError as error:
                self._skip(error)
                if time.monotonic() >= end_s:
                    return None
                continue
            self._follow(result)
            return result

    def __iter__(self) -> Iterator[MaskResult]:
        return self

    def __next__(self) -> MaskResult:
        """Wait for the next result.

        Raises:
            PublishError: no result was ever heard, for `timeout_s`.
        """
        result = self.recv(None if self.received else self.timeout_s)
        if result is None:
            raise self.silence()
        return result

    def silence(self) -> PublishError:
        """Build the error that says nothing usable was heard within `timeout_s`."""
        if self._last_error is not None:
            what = f"{self.malformed} messages from {self.address} could not be read"
            return PublishError(f"{what}; the last: {self._last_error.what}", self._last_error.next_step)
        keys = (
            "If it has keys, give key and server-key"
            if self._keys is None
            else "Is this key in the folder of its --publish.clients, and is it the owner of server-key?"
        )
        return PublishError(
            f"nothing heard from {self.address} about stream {self.stream!r} for {self.timeout_s:g} s",
            f"Is `stream-avs run --publish.address {self.address} --name {self.stream} …` running? {keys}",
        )

    def close(self) -> None:
        """Disconnect. May be called twice."""
        self._socket.close(linger=0)

    def __enter__(self) -> Subscriber:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self) -> WireMessage:
        parts = [self._socket.recv()]
        while self._socket.getsockopt(zmq.RCVMORE):
            part = self._socket.recv()
            # A message of too many frames is read to its end, but not kept.
            if len(parts) <= 2 + MAX_PAYLOADS:
                parts.append(part)
        if self.profile is Profile.STREAM:
            return wire.from_parts(parts)
        if len(parts) > 1:
            raise WireError(f"message has {len(parts)} frames or more, expected 1")
        return wire.from_packed(parts[0])

    def _skip(self, error: WireError) -> None:
        self.malformed += 1
        self._last_error = error
        if self._on_malformed is not None:
            self._on_malformed(error)

    def _follow(self, result: MaskResult) -> None:
        if result.window_seq <= self._newest:
            self.restarts += 1
        elif self.received:
            self.missed += result.window_seq - self._newest - 1
        self._newest = result.window_seq
        self.received += 1


def subscribe(
    address: str,
    *,
    stream: str = "cam0",
    profile: str = Profile.LATEST,
    timeout_s: float = 5.0,
    key: str = "",
    server_key: str = "",
) -> Iterator[MaskResult]:
    """Yield the results of one stream without end; see `Subscriber` for arguments and errors."""
    with Subscriber(
        address, stream, profile, timeout_s=timeout_s, key=key, server_key=server_key
    ) as subscriber:
        yield from subscriber


def age_ms(result: MaskResult, *, same_host: bool = False) -> float:
    """Milliseconds from the capture of a result's frame until now.

    Args:
        result: as received.
        same_host: take the monotonic clocks of publisher and reader for one clock: exact where both
            run on one machine. Otherwise both are led over to unix time, which is right on one
            machine too, and as right as the two wall clocks agree (NTP, PTP) on two.
    """
    offset_ns = 0 if same_host else unix_offset_ns() - result.unix_offset_ns
    return (monotonic_ns() + offset_ns - result.stamp_ns) / NS_PER_MS


def _connect(
    address: Address, topic: bytes, profile: Profile, queue: int, keys: curve.Client | None
) -> zmq.Socket[bytes]:
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
    options = {
        zmq.LINGER: 0,
        zmq.MAXMSGSIZE: MAX_MESSAGE_BYTES,
        **KEEPALIVE,
        zmq.RECONNECT_IVL: RECONNECT_MS,
        zmq.RECONNECT_IVL_MAX: RECONNECT_MAX_MS,
        zmq.IPV6: int(address.is_ipv6),
        # Both only work if set before connecting.
        (zmq.CONFLATE if profile is Profile.LATEST else zmq.RCVHWM): (
            1 if profile is Profile.LATEST else queue
        ),
    }
    for option, value in options.items():
        socket.setsockopt(option, value)
    if keys is not None:
        keys.join(socket)
    socket.setsockopt(zmq.SUBSCRIBE, topic)
    try:
        socket.connect(address.text)
    except zmq.ZMQError as error:
        socket.close(linger=0)
        raise PublishError(f"cannot connect to {address.text}: {error}", "Check the address") from None
    return socket
