"""The capture side of a link: a sink that sends frames and sound to whoever is connected."""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np
import zmq

from stream_avs.clock import MonotonicClock, monotonic_ns
from stream_avs.errors import StreamAvsError
from stream_avs.ledger import Ledger
from stream_avs.link.header import (
    MAX_SAMPLES,
    VERSION,
    AudioHeader,
    EndHeader,
    FrameHeader,
    Header,
    encode_header,
)
from stream_avs.link.host_clock import host_id
from stream_avs.link.payload import Bytes, encode_audio, encode_frame
from stream_avs.link.settings import LinkConfig
from stream_avs.publish import curve
from stream_avs.publish.address import check_bind
from stream_avs.publish.xpub import XpubSocket
from stream_avs.types import NS_PER_S, AudioBlock, Event, Image, SourceState, StampSource

MAX_WAITING_FRAMES = 2
MAX_WAITING_BLOCKS = 250
SEND_BUFFER_BYTES = 256 * 1024
"""Of each connection: what a slow network holds back is old when it arrives."""
LINGER_MS = 500
POLL_S = 0.1

Job = Callable[[], tuple[Header, Bytes] | None]


class MediaSender:
    """Implements `capture.base.Sink`; a context manager. Nothing here waits for a reader.

    A frame nobody reads is not even encoded. A frame that is not on its way before the next but one
    comes is dropped and counted; sound has a queue of its own.

    Args:
        config: address, keys, JPEG quality.
        stream: name of the stream, the topic.
        ledger: counts frames dropped.
        clock: the monotonic clock.
        option: name of the group of settings, for errors.

    Raises:
        PublishError: the address cannot be bound, or is open to others without keys or `insecure`.
        ConfigError: keys without a folder of clients.
    """

    def __init__(
        self,
        config: LinkConfig,
        stream: str,
        ledger: Ledger | None = None,
        *,
        clock: MonotonicClock = monotonic_ns,
        option: str = "link",
    ) -> None:
        self._config = config
        self._option = option
        self._ledger = ledger if ledger is not None else Ledger()
        self._clock = clock
        self._topics = {kind: f"{kind}/{stream}\0".encode() for kind in ("frame", "audio")}
        self._session, self._host = uuid.uuid4().hex, host_id()
        self._epoch, self._epoch_reason, self._audio_ended = 0, "start", False
        self._seq = 0
        self._changed = threading.Condition()
        self._frames: deque[Job] = deque()
        self._blocks: deque[Job] = deque()
        self._stopping = False
        self._socket = self._bind()
        self.address = self._socket.address
        """The address bound, with the port that was free if `*` was asked for."""
        self.subscribers = 0
        """Connections that asked for frames."""
        self._thread = threading.Thread(target=self._run, name="link sender", daemon=True)
        self._thread.start()

    def frame(
        self,
        image: Image,
        stamp_ns: int,
        arrival_ns: int,
        *,
        frame_id: str = "camera",
        stamp_source: StampSource = StampSource.ARRIVAL,
    ) -> None:
        """See `Sink.frame`."""
        if not self.subscribers:
            return
        kept = np.array(image, np.uint8, order="C")
        common = self._common()

        def job() -> tuple[Header, Bytes]:
            encoding, data = encode_frame(kept, self._config.jpeg_quality)
            self._seq += 1
            header = FrameHeader(
                **common, sent_ns=self._clock(), seq=self._seq, stamp_ns=stamp_ns, arrival_ns=arrival_ns,
                stamp_source=stamp_source, frame_id=frame_id, encoding=encoding,
                width_px=kept.shape[1], height_px=kept.shape[0],
            )  # fmt: skip
            return header, data

        with self._changed:
            if len(self._frames) >= MAX_WAITING_FRAMES:
                self._frames.popleft()
                self._ledger.record(Event.SUPERSEDED, stamp_ns, "not sent in time")
            self._frames.append(job)
            self._changed.notify()

    def audio(self, block: AudioBlock) -> None:
        """See `Sink.audio`."""
        common = self._common()
        channels = block.samples.shape[1]
        for begin in range(0, len(block.samples), MAX_SAMPLES):
            samples = block.samples[begin : begin + MAX_SAMPLES]
            data = encode_audio(samples)
            stamp_ns = block.stamp_ns + begin * NS_PER_S // block.sample_rate_hz
            self._put_block(self._audio_job(common, block, stamp_ns, len(samples), channels, data))

    def event(self, event: Event, stamp_ns: int, detail: str = "") -> None:
        """See `Sink.event`; counted on this side."""
        self._ledger.record(event, stamp_ns, detail)

    def discontinuity(self, reason: str, stamp_ns: int) -> None:
        """See `Sink.discontinuity`; told by the next frame and block."""
        with self._changed:
            self._epoch += 1
            self._epoch_reason = reason[:200]

    def announce(self, state: SourceState, detail: str = "") -> None:
        """See `Sink.announce`; readers see it from what comes."""

    def audio_ended(self) -> None:
        """See `Sink.audio_ended`."""
        with self._changed:
            self._audio_ended = True

    def ended(self, error: StreamAvsError | None = None) -> None:
        """See `Sink.ended`."""
        self.audio_ended()
        common = self._common()
        text = str(error)[:1000] if error is not None else ""
        with self._changed:
            self._frames.append(lambda: (EndHeader(**common, sent_ns=self._clock(), error=text), b""))
            self._changed.notify()

    def close(self) -> None:
        """Send what waits, for half a second at most, and free the address. May be called twice."""
        with self._changed:
            if self._stopping:
                return
            self._stopping = True
            self._changed.notify()
        self._thread.join(4 * LINGER_MS / 1000)

    def __enter__(self) -> MediaSender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _audio_job(
        self,
        common: dict[str, Any],
        block: AudioBlock,
        stamp_ns: int,
        samples: int,
        channels: int,
        data: bytes,
    ) -> Job:
        def job() -> tuple[Header, Bytes]:
            header = AudioHeader(
                **common, sent_ns=self._clock(), stamp_ns=stamp_ns, stamp_source=block.stamp_source,
                sample_rate_hz=block.sample_rate_hz, channels=channels, samples=samples,
            )  # fmt: skip
            return header, data

        return job

    def _put_block(self, job: Job) -> None:
        with self._changed:
            if len(self._blocks) >= MAX_WAITING_BLOCKS:
                self._blocks.popleft()
                self._ledger.record(Event.AUDIO_OVERRUN, self._clock(), "not sent in time")
            self._blocks.append(job)
            self._changed.notify()

    def _common(self) -> dict[str, Any]:
        with self._changed:
            return {
                "v": VERSION, "session": self._session, "host": self._host, "epoch": self._epoch,
                "epoch_reason": self._epoch_reason, "audio_ended": self._audio_ended,
            }  # fmt: skip

    def _run(self) -> None:
        """Own the socket: ZeroMQ sockets belong to one thread."""
        while True:
            with self._changed:
                if not (self._frames or self._blocks or self._stopping):
                    self._changed.wait(POLL_S)
                jobs = [("audio", self._blocks.popleft()) for _ in range(len(self._blocks))]
                jobs += [("frame", self._frames.popleft())] if self._frames else []
                done = self._stopping and not jobs
            self._read_subscriptions()
            for kind, job in jobs:
                if self._socket.wants(self._topics[kind]):
                    self._send(kind, job)
            if done:
                break
        self._socket.close(LINGER_MS)

    def _send(self, kind: str, job: Job) -> None:
        try:
            message = job()
            if message is not None:
                header, data = message
                self._socket.send([self._topics[kind], encode_header(header), data])
        except (zmq.ZMQError, StreamAvsError) as error:
            self._ledger.record(Event.PUBLISH_DROP, self._clock(), str(error))

    def _read_subscriptions(self) -> None:
        try:
            self._socket.read()
        except (zmq.ZMQError, StreamAvsError) as error:
            self._ledger.record(Event.PUBLISH_DROP, self._clock(), str(error))
        self.subscribers = self._socket.count(self._topics["frame"])

    def _bind(self) -> XpubSocket:
        config = self._config
        server = curve.server_of(config.key, config.clients, f"--{self._option}")
        address = check_bind(
            config.address, insecure=config.insecure, secured=server is not None,
            option=self._option, what="what camera and microphone pick up",
        )  # fmt: skip
        options: dict[int, int] = {
            zmq.SNDHWM: config.queue,
            zmq.SNDBUF: SEND_BUFFER_BYTES,
            zmq.LINGER: LINGER_MS,
        }
        return XpubSocket(
            address, self._topics.values(), server=server, refused=self._refused, options=options
        )

    def _refused(self, what: str) -> None:
        self._ledger.record(Event.REFUSED, self._clock(), what)
