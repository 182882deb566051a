"""A sink that keeps everything, and a way to wait for it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from stream_avs.types import AudioBlock, Event, SourceState, StampSource


class KeepingSink:
    """Keeps frames, blocks, events and breaks in the order they came."""

    def __init__(self) -> None:
        self.frames: list[tuple[np.ndarray, int, int, str, StampSource]] = []
        self.blocks: list[AudioBlock] = []
        self.events: Counter[Event] = Counter()
        self.breaks: list[str] = []
        self.states: list[SourceState] = []
        self.audio_has_ended = self.has_ended = False
        self.error: Any = None
        self._lock = threading.Lock()

    def frame(
        self, image: Any, stamp_ns: int, arrival_ns: int, *, frame_id: str = "camera",
        stamp_source: StampSource = StampSource.ARRIVAL,
    ) -> None:  # fmt: skip
        with self._lock:
            self.frames.append((np.array(image), stamp_ns, arrival_ns, frame_id, stamp_source))

    def audio(self, block: AudioBlock) -> None:
        with self._lock:
            self.blocks.append(block)

    def event(self, event: Event, stamp_ns: int, detail: str = "") -> None:
        with self._lock:
            self.events[event] += 1

    def discontinuity(self, reason: str, stamp_ns: int) -> None:
        self.breaks.append(reason)

    def announce(self, state: SourceState, detail: str = "") -> None:
        self.states.append(state)

    def audio_ended(self) -> None:
        self.audio_has_ended = True

    def ended(self, error: Any = None) -> None:
        self.has_ended, self.error = True, error


def wait_for(condition: Callable[[], bool], timeout_s: float = 5.0) -> bool:
    """Poll until the condition holds; False when the time is over."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.01)
    return True
