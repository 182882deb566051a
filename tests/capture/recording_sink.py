"""A sink that keeps what it is given, for tests of sources."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass

import numpy as np

from stream_avs.clock import monotonic_ns
from stream_avs.errors import StreamAvsError
from stream_avs.types import AudioBlock, Event, Image, Samples, SourceState, StampSource


@dataclass(frozen=True)
class SeenFrame:
    image: Image
    stamp_ns: int
    arrival_ns: int
    handed_ns: int
    frame_id: str
    stamp_source: StampSource


@dataclass(frozen=True)
class SeenBlock:
    block: AudioBlock
    handed_ns: int

    @property
    def end_ns(self) -> int:
        return self.block.stamp_ns + round(len(self.block.samples) * 1e9 / self.block.sample_rate_hz)


class RecordingSink:
    """Implements `Sink`; `order` holds ("frame" | "audio" | ..., stamp_ns) in the order of arrival."""

    def __init__(self, frame_delay_s: float = 0.0) -> None:
        self.frames: list[SeenFrame] = []
        self.blocks: list[SeenBlock] = []
        self.events: list[tuple[Event, int, str]] = []
        self.discontinuities: list[tuple[str, int]] = []
        self.states: list[tuple[SourceState, str]] = []
        self.order: list[tuple[str, int]] = []
        self.error: StreamAvsError | None = None
        self.audio_over = threading.Event()
        self.over = threading.Event()
        self.ends = 0
        self._frame_delay_s = frame_delay_s

    def frame(
        self,
        image: Image,
        stamp_ns: int,
        arrival_ns: int,
        *,
        frame_id: str = "camera",
        stamp_source: StampSource = StampSource.ARRIVAL,
    ) -> None:
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.shape[2] == 3
        self.frames.append(
            SeenFrame(image.copy(), stamp_ns, arrival_ns, monotonic_ns(), frame_id, stamp_source)
        )
        self.order.append(("frame", stamp_ns))
        time.sleep(self._frame_delay_s)

    def audio(self, block: AudioBlock) -> None:
        assert block.samples.dtype == np.float32
        assert block.samples.ndim == 2
        copied = AudioBlock(
            samples=block.samples.copy(),
            stamp_ns=block.stamp_ns,
            sample_rate_hz=block.sample_rate_hz,
            stamp_source=block.stamp_source,
        )
        self.blocks.append(SeenBlock(copied, monotonic_ns()))
        self.order.append(("audio", block.stamp_ns))

    def event(self, event: Event, stamp_ns: int, detail: str = "") -> None:
        self.events.append((event, stamp_ns, detail))

    def discontinuity(self, reason: str, stamp_ns: int) -> None:
        self.discontinuities.append((reason, stamp_ns))
        self.order.append(("discontinuity", stamp_ns))

    def announce(self, state: SourceState, detail: str = "") -> None:
        self.states.append((state, detail))

    def audio_ended(self) -> None:
        self.audio_over.set()
        self.order.append(("audio_ended", 0))

    def ended(self, error: StreamAvsError | None = None) -> None:
        self.error = error
        self.ends += 1
        self.order.append(("ended", 0))
        self.over.set()

    def counts(self) -> Counter[Event]:
        return Counter(event for event, _, _ in self.events)

    def samples(self) -> Samples:
        """All samples in a row, mono."""
        return np.concatenate([b.block.samples.mean(axis=1) for b in self.blocks])

    def wait_for(self, frames: int = 0, blocks: int = 0, timeout_s: float = 10.0) -> None:
        """Wait until at least so much has come; fails when it does not."""
        end_s = time.monotonic() + timeout_s
        while len(self.frames) < frames or len(self.blocks) < blocks:
            assert time.monotonic() < end_s, (
                f"{len(self.frames)} frames and {len(self.blocks)} blocks after {timeout_s} s,"
                f" expected {frames} and {blocks}; events {self.events[-5:]}, error {self.error}"
            )
            time.sleep(0.01)
