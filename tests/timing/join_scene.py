"""A join with its rings and a clock set by hand, for the tests of what it serves and when."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stream_avs.config import Policy, WindowConfig
from stream_avs.ledger import Ledger
from stream_avs.timing.audio_ring import AudioRing
from stream_avs.timing.frame_ring import FrameEntry, FrameRing
from stream_avs.timing.join import Join
from stream_avs.types import NS_PER_MS, AudioBlock, Window

RATE = 1000
PICTURE = np.zeros((2, 2, 3), np.uint8)


class Scene:
    """Rings, join and a clock that is set by hand; audio whose samples say when they begin, in ms."""

    def __init__(
        self,
        policy: Policy = Policy.FRESHEST,
        *,
        slots: int = 16,
        context_s: float = 0.1,
        with_audio: bool = True,
        **window: float,
    ) -> None:
        self.ledger = Ledger()
        self.now_ms = 0.0
        self.frames = FrameRing(slots, self.ledger)
        self.audio = AudioRing(RATE, window.get("audio_buffer_s", 10.0), self.ledger) if with_audio else None
        self.join = Join(
            self.frames,
            self.audio,
            WindowConfig(frame_slots=max(slots, 7), **{"audio_buffer_s": 10.0, **window}),  # type: ignore[arg-type]
            context_s=context_s,
            policy=policy,
            clock=lambda: round(self.now_ms * NS_PER_MS),
            ledger=self.ledger,
            sample_rate_hz=RATE,
        )

    def frame(self, stamp_ms: float, arrival_ms: float | None = None) -> int | None:
        arrival_ns = round((self.now_ms if arrival_ms is None else arrival_ms) * NS_PER_MS)
        return self.frames.push(PICTURE, round(stamp_ms * NS_PER_MS), arrival_ns)

    def sound(self, begin_ms: int, end_ms: int) -> None:
        assert self.audio is not None
        samples = np.arange(begin_ms, end_ms, dtype=np.float32)[:, None]
        stamp_ns = begin_ms * NS_PER_MS
        self.audio.push(AudioBlock(samples=samples, stamp_ns=stamp_ns, sample_rate_hz=RATE))

    def serve(self) -> Window | None:
        held = self.join.next_window()
        if held is None:
            return None
        with held as window:
            return window

    def serve_all(self) -> Iterator[Window]:
        while (window := self.serve()) is not None:
            yield window


def seqs(window: Window | None) -> list[int]:
    assert window is not None
    return [frame.seq for frame in window.frames]


def entries_at(stamps: list[int], segment: int = 0) -> list[FrameEntry]:
    return [
        FrameEntry(seq=k, stamp_ns=t, arrival_ns=0, segment=segment, reason="start", epoch=0)
        for k, t in enumerate(stamps)
    ]
