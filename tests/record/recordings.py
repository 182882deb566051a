"""Sessions to record, and what was in them, for the tests of this folder."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import numpy as np

from stream_avs.capture.base import SourceInfo
from stream_avs.capture.tap import NoSink
from stream_avs.config import RunConfig
from stream_avs.ledger import Ledger
from stream_avs.models.base import Decision, Stages
from stream_avs.record.codec import to_json
from stream_avs.record.config import RecordConfig
from stream_avs.record.recorder import Recorder
from stream_avs.record.writer import RecordingInfo
from stream_avs.types import NS_PER_MS, AudioBlock, Event, StampSource, Window

INFO = SourceInfo(name="test scene", width_px=32, height_px=24, fps=25, sample_rate_hz=16_000, channels=1)


def info(stream: str = "cam0", **changes: object) -> RecordingInfo:
    """Head of a test recording."""
    values = {"config": to_json(RunConfig(source="synthetic", name=stream)), "model_id": "echo-00000000"}
    return RecordingInfo(stream=stream, **{**values, **changes})


def recorder(path: Path, ledger: Ledger | None = None, **settings: object) -> Recorder:
    """A recorder without limits of room."""
    config = RecordConfig(**{"path": str(path), "min_free_mb": 0.0, **settings})
    return Recorder(config, info(), ledger or Ledger())


def image(k: int, height: int = 24, width: int = 32) -> np.ndarray:
    """Picture number k, never the same twice."""
    return np.random.default_rng(k).integers(0, 256, (height, width, 3)).astype(np.uint8)


def block(k: int, n: int = 640, *, exact: bool = True, channels: int = 1) -> AudioBlock:
    """Block k of 40 ms; `exact` samples fit 16 bits."""
    rng = np.random.default_rng(1000 + k)
    samples = rng.integers(-32768, 32768, (n, channels)).astype(np.float32) / np.float32(32768)
    if not exact:
        samples = rng.standard_normal((n, channels)).astype(np.float32) / 4
    return AudioBlock(
        samples=samples,
        stamp_ns=10_000_000_000 + k * 40 * NS_PER_MS,
        sample_rate_hz=16_000,
        stamp_source=StampSource.DRIVER,
    )


def play(sink: object, frames: int, *, first: int = 0) -> None:
    """Hand `frames` pictures and as much sound to a sink, as a source would."""
    for k in range(first, first + frames):
        sink.audio(block(k, exact=k % 2 == 0))
        stamp_ns = 10_000_000_000 + k * 40 * NS_PER_MS + 7
        source = StampSource.DRIVER if k % 5 else StampSource.ARRIVAL
        sink.frame(image(k), stamp_ns, stamp_ns + 3_000_001, frame_id=f"eye{k % 2}", stamp_source=source)
        if k == 3:
            sink.event(Event.DECODE_ERROR, stamp_ns, "a scratch")
            sink.discontinuity("seek", stamp_ns + 1)


def record(path: Path, frames: int = 12, **settings: object) -> None:
    """Write a whole recording."""
    with recorder(path, **settings) as out:
        sink = out.tap(NoSink(), INFO)
        play(sink, frames)
        sink.ended()


class EchoModel:
    """A network whose mask, scores and carried state depend on every bit of its windows."""

    labels = {1: "one", 2: "two"}  # noqa: RUF012
    sample_rate_hz = 16_000
    context_s = 0.5
    frames = 5
    input_px = 64
    mask_shape = (16, 16)

    def __init__(self, name: str = "echo-00000000", salt: bytes = b"", delay_s: float = 0.0) -> None:
        self.id = name
        self.windows: list[tuple[int, str]] = []
        self._salt = salt
        self._delay = threading.Event()
        self._delay_s = delay_s

    def initial_state(self) -> bytes:
        return b""

    def step(self, window: Window, state: bytes, stages: Stages) -> tuple[Decision, bytes]:
        with stages.measure("step"):
            digest = window_digest(window)
            self.windows.append((window.newest.stamp_ns, digest))
            state = hashlib.sha256(self._salt + state + digest.encode()).digest()
            self._delay.wait(self._delay_s)
        pixels = np.resize(np.frombuffer(state, np.uint8), self.mask_shape)
        mask = (pixels % 3).astype(np.uint8)
        scores = {1: state[0] / 255, 2: state[1] / 255}
        decision = Decision(
            mask=mask, confidence=pixels * (mask > 0), scores=scores, sounding_score=state[2] / 255
        )
        return decision, state


def window_digest(window: Window) -> str:
    """One number of everything a network sees."""
    seen = hashlib.sha256()
    for frame in window.frames:
        seen.update(frame.image.tobytes())
    seen.update(window.audio.tobytes())
    seen.update(window.audio_coverage.tobytes())
    seen.update(f"{window.distinct} {window.sample_rate_hz}".encode())
    return seen.hexdigest()
