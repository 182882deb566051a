"""What is heard while the time line of a live stream settles is not lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from recording_sink import RecordingSink

from stream_avs.capture.media import Media
from stream_avs.config import SyntheticConfig
from stream_avs.drills.broadcast import Broadcast
from stream_avs.types import NS_PER_MS


@pytest.fixture
def camera() -> Iterator[Broadcast]:
    camera = Broadcast(SyntheticConfig(width_px=64, height_px=48, fps=20))
    yield camera
    camera.stop()


def test_the_first_pictures_come_with_the_sound_before_them_each_time_the_stream_is_opened(
    camera: Broadcast,
) -> None:
    sink, source = RecordingSink(), Media(camera.url)
    source.open()
    source.start(sink)
    try:
        first = _wait(sink, 0, 0)
        camera.stop()
        time.sleep(0.2)  # what was on its way has come
        frames, blocks = len(sink.frames), len(sink.blocks)
        camera.start()
        again = _wait(sink, frames, blocks)
    finally:
        source.stop()
    for heard_ns in (first, again):
        assert heard_ns > 200 * NS_PER_MS
    # In order, and without overlap: the early sound continues into that after it.
    assert sink.discontinuities
    broken_ns = sink.discontinuities[0][1]
    for blocks in (
        [b for b in sink.blocks if b.handed_ns < broken_ns],
        [b for b in sink.blocks if b.handed_ns >= broken_ns],
    ):
        assert all(b.block.stamp_ns - a.end_ns > -40 * NS_PER_MS for a, b in pairwise(blocks))


def _wait(sink: RecordingSink, frames: int, blocks: int) -> int:
    """How much sound from before the next picture has come with it, in ns."""
    deadline_s = time.monotonic() + 20
    while len(sink.frames) <= frames:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    return sink.frames[frames].stamp_ns - min(b.block.stamp_ns for b in sink.blocks[blocks:])
