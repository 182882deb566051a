"""A source and a model that cost next to nothing, so that what is left is the pipeline itself."""

from __future__ import annotations

import threading
import time

import numpy as np

from stream_avs.capture.base import Sink, SourceInfo
from stream_avs.models.base import Decision, Stages
from stream_avs.types import NS_PER_S, AudioBlock, StampSource, Window

SAMPLE_RATE_HZ = 32_000
MASK_PX = 384
CLASS_ID = 15


class SteadySource:
    """Frames of noise at a steady rate, each preceded by the audio that ends at its stamp.

    With the audio always in time, no mask waits for sound: what is measured is the pipeline.

    Args:
        width_px, height_px: picture size.
        fps: frame rate, Hz.
        duration_s: how long to run.
    """

    def __init__(self, width_px: int, height_px: int, fps: float, duration_s: float) -> None:
        self._size = (width_px, height_px)
        self._fps = fps
        self._duration_s = duration_s
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> SourceInfo:
        """See `Source.open`."""
        return SourceInfo(
            name="steady", width_px=self._size[0], height_px=self._size[1], fps=self._fps,
            sample_rate_hz=SAMPLE_RATE_HZ, channels=1,
        )  # fmt: skip

    def start(self, sink: Sink) -> None:
        """See `Source.start`."""
        self._thread = threading.Thread(target=self._run, args=(sink,), name="steady", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """See `Source.stop`."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def _run(self, sink: Sink) -> None:
        rng = np.random.default_rng(0)
        width_px, height_px = self._size
        images = rng.integers(0, 256, (4, height_px, width_px, 3), dtype=np.uint8)
        start_ns = time.monotonic_ns()
        sent = 0
        for i in range(1, int(self._duration_s * self._fps) + 1):
            stamp_ns = start_ns + round(i * NS_PER_S / self._fps)
            if self._stopping.wait(max(0.0, (stamp_ns - time.monotonic_ns()) / NS_PER_S)):
                break
            due = (stamp_ns - start_ns) * SAMPLE_RATE_HZ // NS_PER_S + 1
            samples = rng.uniform(-0.1, 0.1, (due - sent, 1)).astype(np.float32)
            block_ns = start_ns + sent * NS_PER_S // SAMPLE_RATE_HZ
            sink.audio(AudioBlock(
                samples=samples, stamp_ns=block_ns, sample_rate_hz=SAMPLE_RATE_HZ,
                stamp_source=StampSource.SYNTHETIC,
            ))  # fmt: skip
            sent = due
            sink.frame(images[i % 4], stamp_ns, time.monotonic_ns(), stamp_source=StampSource.SYNTHETIC)
        sink.ended()


class DiscModel:
    """A model that draws a moving disc without looking or listening; takes microseconds."""

    id = "disc-00000000"
    sample_rate_hz = SAMPLE_RATE_HZ
    context_s = 2.0
    frames = 5
    input_px = MASK_PX
    mask_shape = (MASK_PX, MASK_PX)
    notes: tuple[str, ...] = ()

    def __init__(self) -> None:
        y, x = np.mgrid[:MASK_PX, :MASK_PX]
        self._masks = [
            (((x - cx) ** 2 + (y - MASK_PX // 2) ** 2 < 80**2) * np.uint8(CLASS_ID)).astype(np.uint8)
            for cx in range(100, MASK_PX - 100, 8)
        ]

    @property
    def labels(self) -> dict[int, str]:
        """See `StreamModel.labels`."""
        return {CLASS_ID: "disc"}

    def initial_state(self) -> int:
        """The number of the next mask."""
        return 0

    def step(self, window: Window, state: int, stages: Stages) -> tuple[Decision, int]:
        """See `StreamModel.step`."""
        with stages.measure("model"):
            mask = self._masks[state % len(self._masks)]
            confidence = np.where(mask > 0, np.uint8(200), np.uint8(0))
            scores = {CLASS_ID: 0.8}
        return Decision(mask=mask, confidence=confidence, scores=scores, sounding_score=0.8), state + 1
