"""What a source's absence does to the carried state, through the whole pipeline."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from stream_avs.benchmarks.stand_ins import SAMPLE_RATE_HZ, DiscModel
from stream_avs.capture.base import Sink, Source, SourceInfo
from stream_avs.capture.camera import Camera
from stream_avs.capture.composite import Composite
from stream_avs.clock import monotonic_ns
from stream_avs.config import CameraConfig, RunConfig, WindowConfig
from stream_avs.link.receiver import ZmqSource
from stream_avs.link.sender import MediaSender
from stream_avs.link.settings import LinkConfig
from stream_avs.pipeline import Pipeline
from stream_avs.types import NS_PER_S, AudioBlock, Event, MaskResult, ResultState, SourceState

IMAGE = np.zeros((24, 32, 3), np.uint8)
FRAME_S = 0.04


class QuickModel(DiscModel):
    """Hears so little that it has its sound at once."""

    context_s = 0.2


class Hand:
    """A source that does what the test says, a frame and its sound at a time."""

    def __init__(self) -> None:
        self.sink: Sink | None = None
        self._next_ns = monotonic_ns()

    def open(self) -> SourceInfo:
        return SourceInfo(name="hand")

    def start(self, sink: Sink) -> None:
        self.sink = sink

    def stop(self) -> None:
        pass

    def play(self, seconds: float, *, picture: bool = True, sound: bool = True) -> None:
        """Give pictures and sound, or let the time pass without."""
        assert self.sink is not None
        for _ in range(round(seconds / FRAME_S)):
            begin_ns, self._next_ns = self._next_ns, self._next_ns + round(FRAME_S * NS_PER_S)
            time.sleep(max(0.0, (self._next_ns - monotonic_ns()) / NS_PER_S))
            if sound:
                samples = np.full((round(FRAME_S * SAMPLE_RATE_HZ), 1), 0.1, np.float32)
                block = AudioBlock(samples=samples, stamp_ns=begin_ns, sample_rate_hz=SAMPLE_RATE_HZ)
                self.sink.audio(block)
            if picture:
                self.sink.frame(IMAGE, self._next_ns, monotonic_ns())


def pipeline_of(source: Source, results: list[MaskResult], gap_s: float = 0.4) -> Pipeline:
    config = RunConfig(source="test", window=WindowConfig(gap_s=gap_s), status=False)
    return Pipeline(config, source, QuickModel(), (results.append,))


def reasons(results: list[MaskResult]) -> list[str]:
    return [r.reset_reason for r in results if r.reset_reason]


def wait_for(condition: Callable[[], object]) -> None:
    end_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("away", "picture", "sound", "expected"),
    [
        (0.2, False, True, ["start"]),  # a short hole in the pictures
        (0.6, False, True, ["start", "gap"]),
        (0.2, True, False, ["start"]),  # a short hole in the sound
        (0.8, True, False, ["start", "gap"]),
    ],
)
def test_an_absence_longer_than_the_gap_resets(
    away: float, picture: bool, sound: bool, expected: list[str]
) -> None:
    hand, results = Hand(), []
    with pipeline_of(hand, results) as pipeline:
        pipeline.start()
        hand.play(0.3)
        hand.play(away, picture=picture, sound=sound)
        hand.play(0.3)
        wait_for(lambda: results and results[-1].state is ResultState.OK)
    assert reasons(results) == expected


def test_a_camera_that_was_lost_resets_and_is_seen_to_reconnect(tmp_path: Path) -> None:
    """A film behind OpenCV stands in for the camera: it ends, is away, and is opened again."""
    path = tmp_path / "camera.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (32, 24))
    for _ in range(25):
        writer.write(IMAGE)
    writer.release()
    hand, results = Hand(), []
    camera = Camera(str(path), CameraConfig(), api=cv2.CAP_FFMPEG)
    with pipeline_of(Composite(camera, hand), results) as pipeline:
        pipeline.start()
        hand.play(0.3)
        path.rename(tmp_path / "unplugged.avi")
        wait_for(lambda: pipeline.snapshot().source.state is SourceState.RECONNECTING)
        before = len(results)
        (tmp_path / "unplugged.avi").rename(path)
        wait_for(lambda: len(results) > before)
        hand.play(0.3)
        assert "reconnect" in pipeline._session.reset_counts
    assert pipeline.ledger.counts()[Event.RECONNECT] >= 1


def test_a_capture_node_that_was_started_again_resets(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    link = LinkConfig(address=f"ipc://{tmp_path}/link")
    hand, results = Hand(), []
    with pipeline_of(ZmqSource(link), results, gap_s=30.0) as pipeline:
        pipeline.start()
        for _ in range(2):
            with MediaSender(link, "cam0") as sender:
                hand.start(sender)
                before = len(results)
                end_s = time.monotonic() + 10
                while not any(r.state is ResultState.OK for r in results[before:]):
                    assert time.monotonic() < end_s
                    hand.play(0.2)
    assert reasons(results) == ["start", "reconnect"]
