"""The synthetic scene as a source: live pictures and sound, without any device or file."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator

from stream_avs.capture.base import Sink, SourceInfo
from stream_avs.capture.synthetic_scene import RATE_HZ, SyntheticScene
from stream_avs.capture.worker import Worker
from stream_avs.clock import MonotonicClock, monotonic_ns
from stream_avs.config import SyntheticConfig
from stream_avs.types import NS_PER_S, AudioBlock, StampSource

BLOCK_S = 0.02


class Synthetic:
    """A source that plays a `SyntheticScene` in real time, its stamps exact.

    What is seen at t is stamped start + t and heard at start + t + `camera_mic_shift_s`; a frame is
    handed over when it is due, a block of sound when its last sample is.

    Args:
        config: the scene.
        frame_id: name of the camera's optical frame.
        clock: the monotonic clock.
    """

    def __init__(
        self,
        config: SyntheticConfig | None = None,
        *,
        frame_id: str = "camera",
        clock: MonotonicClock = monotonic_ns,
    ) -> None:
        self._config = config or SyntheticConfig()
        self._frame_id = frame_id
        self._clock = clock
        self._worker: Worker | None = None
        self.scene = SyntheticScene(self._config)
        self.start_ns = 0
        """Stamp of time 0 of the scene, once started."""

    def open(self) -> SourceInfo:
        """See `Source.open`; never fails."""
        return SourceInfo(
            name="synthetic scene",
            width_px=self._config.width_px,
            height_px=self._config.height_px,
            fps=self._config.fps,
            sample_rate_hz=RATE_HZ,
            channels=1,
            duration_s=self._config.duration_s,
        )

    def start(self, sink: Sink) -> None:
        """See `Source.start`."""
        self.start_ns = self._clock()
        self._worker = Worker("synthetic scene", lambda stop: self._run(sink, stop), sink)
        self._worker.start()

    def stop(self) -> None:
        """See `Source.stop`."""
        if self._worker is not None:
            self._worker.stop()

    def _run(self, sink: Sink, stop: threading.Event) -> None:
        shift_s = self._config.camera_mic_shift_s
        for due_s, frame, block in self._schedule():
            due_ns = self.start_ns + round(due_s * NS_PER_S)
            if stop.wait(max(0, due_ns - self._clock()) / NS_PER_S):
                return
            if block is not None:
                begin, end = block
                sink.audio(
                    AudioBlock(
                        samples=self.scene.audio_between(begin, end),
                        stamp_ns=self.start_ns + round((begin / RATE_HZ + shift_s) * NS_PER_S),
                        sample_rate_hz=RATE_HZ,
                        stamp_source=StampSource.SYNTHETIC,
                    )
                )
            else:
                t_s = frame / self._config.fps
                sink.frame(
                    self.scene.frame_at(t_s)[0],
                    self.start_ns + round(t_s * NS_PER_S),
                    self._clock(),
                    frame_id=self._frame_id,
                    stamp_source=StampSource.SYNTHETIC,
                )
        sink.ended()

    def _schedule(self) -> Iterator[tuple[float, int, tuple[int, int] | None]]:
        """Yield (time due, frame number, None) and (time due, 0, (first sample, end)) in order."""
        duration_s = self._config.duration_s or math.inf
        shift_s = self._config.camera_mic_shift_s
        size = round(BLOCK_S * RATE_HZ)
        frame = 0
        # The microphone runs from the start: with a late microphone it first hears what came before.
        begin = round(-shift_s * RATE_HZ)
        frame_s: float = 0.0
        while True:
            frame_s = frame / self._config.fps
            end = begin + size
            if math.isfinite(duration_s):
                end = min(end, round(duration_s * RATE_HZ))
            sound_s = end / RATE_HZ + shift_s if end > begin else math.inf
            if frame_s >= duration_s:
                frame_s = math.inf
            if sound_s == frame_s == math.inf:
                return
            if sound_s <= frame_s:
                yield sound_s, 0, (begin, end)
                begin = end
            else:
                yield frame_s, frame, None
                frame += 1
