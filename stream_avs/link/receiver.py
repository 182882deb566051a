"""The far side of a link as a source: frames and sound that another machine captures."""

from __future__ import annotations

import threading

import zmq

from stream_avs.capture.base import Sink, SourceInfo
from stream_avs.capture.reconnect import Absence
from stream_avs.capture.worker import Worker
from stream_avs.clock import MonotonicClock, monotonic_ns
from stream_avs.config import ReconnectConfig
from stream_avs.errors import SourceError, WireError
from stream_avs.ledger import Ledger
from stream_avs.link.header import (
    MAX_FRAME_BYTES,
    MAX_HEADER_BYTES,
    AudioHeader,
    Common,
    EndHeader,
    FrameHeader,
    Header,
    decode_header,
)
from stream_avs.link.host_clock import HostClock, host_id
from stream_avs.link.payload import decode_audio, decode_frame
from stream_avs.link.settings import LinkConfig
from stream_avs.publish import curve
from stream_avs.publish.address import parse
from stream_avs.publish.keepalive import KEEPALIVE
from stream_avs.types import NS_PER_S, AudioBlock, Event

POLL_MS = 100
CONNECT_TIMEOUT_MS = 1000
"""A host that is not there answers nothing: what was tried before it came back must end soon."""
SILENCE_S = 2.0
"""Without a message for this long, the sender counts as lost."""
AUDIO_QUEUE = 500
MAX_COUNTED = 1000
"""Frames lost in one hole that are counted one by one."""
MAX_MESSAGE_BYTES = MAX_FRAME_BYTES + MAX_HEADER_BYTES

Received = tuple[Header, bytes, int]
"""Header, payload and when it arrived."""


class ZmqSource:
    """A source that a `MediaSender` feeds, on this or another machine.

    Frames and sound come over two connections, so that pictures, which are large, never hold up sound.
    All that has arrived is taken; of several waiting frames the newest counts. A sender that goes away
    is waited for: when it is back, the stream goes on after a discontinuity.

    Args:
        config: address and keys.
        stream: name of the stream.
        reconnect: delays between attempts to connect again.
        clock: the monotonic clock.
        own_host: name of this machine's clock, see `host_clock.host_id`.

    Raises:
        PublishError: the address or a key file is wrong.
        ConfigError: a key of one side without the other's.
    """

    def __init__(
        self,
        config: LinkConfig,
        stream: str = "cam0",
        *,
        reconnect: ReconnectConfig | None = None,
        clock: MonotonicClock = monotonic_ns,
        own_host: str | None = None,
    ) -> None:
        self._reconnect = reconnect or ReconnectConfig()
        self._address = parse(config.address)
        self._stream = stream
        self._clock = clock
        self._queue = config.queue
        self._own_host = own_host if own_host is not None else host_id()
        self._keys = curve.client_of(config.key, config.server_key, "--link.")
        self._worker: Worker | None = None

    def open(self) -> SourceInfo:
        """See `Source.open`; succeeds also while there is no sender yet."""
        secured = "" if self._keys is None else ", encrypted"
        return SourceInfo(name=f"{self._stream} from {self._address.text}{secured}", live=True)

    def start(self, sink: Sink) -> None:
        """See `Source.start`."""
        self._worker = Worker(f"link {self._stream}", lambda stop: self._run(sink, stop), sink)
        self._worker.start()

    def stop(self) -> None:
        """See `Source.stop`."""
        if self._worker is not None:
            self._worker.stop()

    def _run(self, sink: Sink, stop: threading.Event) -> None:
        sockets = {kind: self._connect(kind) for kind in ("frame", "audio")}
        poller = zmq.Poller()
        for socket in sockets.values():
            poller.register(socket, zmq.POLLIN)
        absence = Absence(f"the sender of {self._stream}", self._reconnect, sink, self._clock)
        self._follow = _Follow(self._own_host, absence)
        begun_ns = self._clock()
        try:
            while not stop.is_set():
                if not poller.poll(POLL_MS):
                    self._wait(absence, begun_ns)
                    continue
                for received in self._drain(sockets["audio"], sink):
                    self._take(received, sink)
                for received in self._newest(self._drain(sockets["frame"], sink), sink):
                    if self._take(received, sink):
                        return
        finally:
            for socket in sockets.values():
                socket.close(linger=0)

    def _wait(self, absence: Absence, begun_ns: int) -> None:
        """Nothing has come just now."""
        heard_ns = self._follow.heard_ns
        silent = self._clock() - (heard_ns or begun_ns) > SILENCE_S * NS_PER_S
        if heard_ns and silent and not absence.lost:
            absence.begin(f"nothing heard from {self._address.text} for {SILENCE_S:g} s", heard_ns)
        if silent:
            absence.check(heard_ns or begun_ns)

    def _drain(self, socket: zmq.Socket[bytes], sink: Sink) -> list[Received]:
        """All messages that have arrived and can be read."""
        found: list[Received] = []
        for _ in range(AUDIO_QUEUE):
            try:
                parts = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            arrived_ns = self._clock()
            try:
                if len(parts) != 3:
                    raise WireError(f"message has {len(parts)} frames, expected 3")
                header = decode_header(parts[1])
            except WireError as error:
                sink.event(Event.DECODE_ERROR, arrived_ns, str(error))
                continue
            found.append((header, parts[2], arrived_ns))
        return found

    def _newest(self, found: list[Received], sink: Sink) -> list[Received]:
        """The newest frame, and the end if it has come."""
        frames = [r for r in found if isinstance(r[0], FrameHeader)]
        for header, _, arrived_ns in frames:
            self._follow.count_lost(header, arrived_ns, sink)
        for header, _, arrived_ns in frames[:-1]:
            self._follow.clock_reading(header, arrived_ns)
            sink.event(Event.SUPERSEDED, arrived_ns, "a newer frame had arrived")
        return frames[-1:] + [r for r in found if isinstance(r[0], EndHeader)]

    def _take(self, received: Received, sink: Sink) -> bool:
        """Hand one message on; True if it was the end."""
        header, data, arrived_ns = received
        if not self._follow.accept(header, arrived_ns, sink):
            return False
        clock = self._follow.clock
        try:
            if isinstance(header, FrameHeader):
                sink.frame(
                    decode_frame(header, data), clock.to_ours_ns(header.stamp_ns), arrived_ns,
                    frame_id=header.frame_id, stamp_source=header.stamp_source,
                )  # fmt: skip
            elif isinstance(header, AudioHeader):
                sink.audio(AudioBlock(
                    samples=decode_audio(header, data), stamp_ns=clock.to_ours_ns(header.stamp_ns),
                    sample_rate_hz=header.sample_rate_hz, stamp_source=header.stamp_source,
                ))  # fmt: skip
            else:
                sink.ended(SourceError(f"capture side: {header.error}") if header.error else None)
                return True
        except WireError as error:
            kind = Event.AUDIO_GAP if isinstance(header, AudioHeader) else Event.DECODE_ERROR
            sink.event(kind, arrived_ns, str(error))
        return False

    def _connect(self, kind: str) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
        options = {
            **KEEPALIVE,
            zmq.LINGER: 0, zmq.MAXMSGSIZE: MAX_MESSAGE_BYTES, zmq.CONNECT_TIMEOUT: CONNECT_TIMEOUT_MS,
            zmq.RECONNECT_IVL: round(self._reconnect.first_s * 1000),
            zmq.RECONNECT_IVL_MAX: round(self._reconnect.most_s * 1000),
            zmq.IPV6: int(self._address.is_ipv6), zmq.RCVHWM: AUDIO_QUEUE if kind == "audio" else self._queue,
        }  # fmt: skip
        for option, value in options.items():
            socket.setsockopt(option, value)
        if self._keys is not None:
            self._keys.join(socket)
        socket.setsockopt(zmq.SUBSCRIBE, f"{kind}/{self._stream}\0".encode())
        try:
            socket.connect(self._address.text)
        except zmq.ZMQError as error:
            socket.close(linger=0)
            raise SourceError(
                f"cannot connect to {self._address.text}: {error}", "Check the address"
            ) from None
        return socket


class _Follow:
    """Keeps up with the sender: its clock, its restarts, its discontinuities, its lost frames."""

    def __init__(self, own_host: str, absence: Absence | None = None) -> None:
        self._own_host = own_host
        self._absence = absence
        self.heard_ns = 0
        """When something that could be read arrived, 0 before that."""
        self._session = ""
        self._epoch = 0
        self._newest = ("", 0)
        self._audio_ended = False
        self.clock = HostClock("", Ledger(), own_host=own_host)

    def accept(self, header: Header, arrived_ns: int, sink: Sink) -> bool:
        """Follow the header; False if the message is left over from before a discontinuity."""
        self.heard_ns = arrived_ns
        self.clock_reading(header, arrived_ns)
        if header.session != self._session:
            self._new_session(header, arrived_ns, sink)
        elif self._absence is not None and self._absence.lost:
            sink.discontinuity("reconnect", self._absence.end())
        if header.epoch < self._epoch:
            return False
        if header.epoch > self._epoch:
            self._epoch = header.epoch
            sink.discontinuity(header.epoch_reason, arrived_ns)
        if header.audio_ended and not self._audio_ended:
            self._audio_ended = True
            sink.audio_ended()
        return True

    def clock_reading(self, header: Common, arrived_ns: int) -> None:
        """Take note of when a message left and arrived."""
        if header.session != self._session:
            self.clock = HostClock(header.host, Ledger(), own_host=self._own_host)
        self.clock.observe(header.sent_ns, arrived_ns)

    def count_lost(self, header: Header, arrived_ns: int, sink: Sink) -> None:
        """Count the frames that were sent since the one before and never arrived."""
        if not isinstance(header, FrameHeader):
            return
        session, seq = self._newest
        self._newest = (header.session, header.seq)
        if session == header.session:
            for _ in range(min(header.seq - seq - 1, MAX_COUNTED)):
                sink.event(Event.SUPERSEDED, arrived_ns, "lost on the way")

    def _new_session(self, header: Header, arrived_ns: int, sink: Sink) -> None:
        if self._absence is not None and self._absence.lost:
            self._absence.end()
        elif self._session:
            sink.event(Event.RECONNECT, arrived_ns, "the capture side was started again")
        if self._session:
            sink.discontinuity("reconnect", arrived_ns)
        self._session, self._epoch, self._audio_ended = header.session, header.epoch, False
