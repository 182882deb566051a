"""Packets of a live connection, read on a thread that nothing slows down.

Were packets read by the thread that decodes, a slow decoder would leave them in the kernel: they
would be stamped late, and the delay would grow without anybody seeing it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stream_avs.capture.container import connection_errors, import_av
from stream_avs.clock import MonotonicClock
from stream_avs.types import NS_PER_S

if TYPE_CHECKING:
    from av.container import InputContainer

LONGEST_QUEUE_NS = NS_PER_S
"""Pictures that wait longer than this for the decoder are skipped up to a key frame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrived:
    """One packet of one track, and when it arrived (monotonic)."""

    packet: Any
    is_video: bool
    is_key: bool
    arrival_ns: int


class PacketQueue:
    """First in, first out, until the oldest video packet is older than `LONGEST_QUEUE_NS`.

    Then video is skipped up to the newest key frame in the queue, or to the next that comes: a
    decoder can begin nowhere else. Sound is never skipped, it costs next to nothing to decode.
    """

    def __init__(self) -> None:
        self._ready = threading.Condition()
        self._queue: deque[Arrived] = deque()
        self._ended = False
        self._awaiting_key = False
        self._skipped = 0

    def put(self, arrived: Arrived) -> None:
        """Add a packet; never blocks."""
        with self._ready:
            if arrived.is_video and self._awaiting_key and not arrived.is_key:
                self._skipped += 1
                return
            if arrived.is_video and arrived.is_key:
                self._awaiting_key = False
            self._queue.append(arrived)
            oldest_ns = next((a.arrival_ns for a in self._queue if a.is_video), arrived.arrival_ns)
            if arrived.arrival_ns - oldest_ns > LONGEST_QUEUE_NS:
                self._skip_to_key()
            self._ready.notify()

    def get(self, timeout_s: float) -> Arrived | None:
        """Take the oldest packet; None when none came in time, or none will come any more."""
        with self._ready:
            self._ready.wait_for(lambda: self._queue or self._ended, timeout_s)
            return self._queue.popleft() if self._queue else None

    def end(self) -> None:
        """Say that no more packets will come."""
        with self._ready:
            self._ended = True
            self._ready.notify()

    @property
    def exhausted(self) -> bool:
        """True when the last packet has been taken and no more will come."""
        with self._ready:
            return self._ended and not self._queue

    def take_skipped(self) -> int:
        """How many video packets were skipped since the last call."""
        with self._ready:
            skipped, self._skipped = self._skipped, 0
            return skipped

    def _skip_to_key(self) -> None:
        keys = [i for i, a in enumerate(self._queue) if a.is_video and a.is_key]
        # The key frame the decoder is about to take anyway is no way out.
        first_video = next(i for i, a in enumerate(self._queue) if a.is_video)
        target = keys[-1] if keys and keys[-1] != first_video else None
        self._awaiting_key = target is None
        end = len(self._queue) if target is None else target
        kept = [a for i, a in enumerate(self._queue) if not a.is_video or i >= end]
        self._skipped += len(self._queue) - len(kept)
        self._queue = deque(kept)


class Connection:
    """An open container being read on a thread of its own.

    Args:
        container: open; closed by `close`, or when a read that hangs at that moment returns.
        tracks: the streams to read.
        name: for the thread.
        clock: the monotonic clock.
    """

    def __init__(
        self, container: InputContainer, tracks: list[Any], name: str, clock: MonotonicClock
    ) -> None:
        self._container = container
        self._tracks = tracks
        self._clock = clock
        self._queue = PacketQueue()
        self._closing = threading.Event()
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._read, name=f"read {name}", daemon=True)
        self._thread.start()

    def packets(self, stop: threading.Event) -> Iterator[Arrived]:
        """Yield packets until the connection is lost (see `error`) or `stop` is set."""
        while not stop.is_set() and not self._queue.exhausted:
            arrived = self._queue.get(0.1)
            if arrived is not None:
                yield arrived

    def take_skipped(self) -> int:
        """How many pictures were skipped since the last call because decoding is too slow."""
        return self._queue.take_skipped()

    def close(self) -> None:
        """Let go of the container; its decoders must not be used any more."""
        self._closing.set()
        self._thread.join(0.3)

    def _read(self) -> None:
        try:
            for packet in self._container.demux(self._tracks):
                if self._closing.is_set():
                    break
                if packet.size:
                    self._queue.put(
                        Arrived(
                            packet=packet,
                            is_video=packet.stream.type == "video",
                            is_key=packet.is_keyframe,
                            arrival_ns=self._clock(),
                        )
                    )
        except (*connection_errors(), import_av().error.FFmpegError) as error:
            self.error = error
        self._queue.end()
        # The decoders live in the container: it may be closed only when they are done.
        self._closing.wait()
        self._container.close()
