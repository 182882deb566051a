"""The bundled clip through the real pipeline and real sockets, checked against the file itself."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from stream_avs.capture.media import Media
from stream_avs.config import MediaConfig, ModelConfig, Pace, PublishConfig, RunConfig
from stream_avs.ledger import Ledger
from stream_avs.models.base import AnyModel
from stream_avs.models.registry import load_model
from stream_avs.pipeline import Pipeline, run_until_done
from stream_avs.publish.overlay_tap import OverlayTap
from stream_avs.publish.subscriber import Subscriber
from stream_avs.publish.zeromq import Publisher
from stream_avs.types import NS_PER_S, MaskResult, ResultState

PERSON = 15
MUTED_S = (3.0, 6.0)
FORGET_S = 0.8  # a voice may be remembered this long after it stopped, and a new one take as long to be named


class Reader(threading.Thread):
    """Collects what one subscriber receives."""

    def __init__(self, address: str, profile: str) -> None:
        super().__init__(daemon=True)
        self.subscriber = Subscriber(address, profile=profile, timeout_s=30)
        self.results: list[MaskResult] = []
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.is_set():
            result = self.subscriber.recv(0.2)
            if result is not None:
                self.results.append(result)
        self.subscriber.close()


@pytest.fixture(scope="module")
def model() -> AnyModel:
    return load_model(ModelConfig(preset="consensus"))


@pytest.fixture(scope="module")
def file_stamps_ns(talkers: Path) -> list[int]:
    """Presentation times of the file's pictures, from the first on."""
    with av.open(str(talkers)) as container:
        times = [f.pts * f.time_base for f in container.decode(video=0) if f.pts is not None and f.time_base]
    return [round((t - times[0]) * NS_PER_S) for t in times]


def test_every_frame_of_the_file_gets_its_mask(
    talkers: Path, model: AnyModel, file_stamps_ns: list[int], tmp_path: Path
) -> None:
    config = RunConfig(
        source=str(talkers),
        media=MediaConfig(pace=Pace.FAST),
        publish=PublishConfig(address="tcp://127.0.0.1:*", queue=1000),
    )
    made: list[MaskResult] = []
    video = tmp_path / "overlay.mp4"
    with Publisher(config.publish, config.name) as publisher:
        reader = Reader(publisher.address, "stream")
        reader.start()
        time.sleep(0.5)  # a subscription reaches the publisher a moment after it is made
        ledger = Ledger()
        with OverlayTap(video, ledger, wait=True) as overlay:
            listeners = (made.append, publisher.publish, overlay.publish)
            source = Media(str(talkers), config.media)
            with Pipeline(config, source, model, listeners, overlay.wrap, ledger) as pipeline:
                run_until_done(pipeline)
        wait_until(lambda: len(reader.results) == len(made))
        reader.stop.set()
        reader.join()

    assert pipeline.captured == len(made) == len(file_stamps_ns) == 300
    assert pipeline.ledger.dropped_frames() == 0
    assert [r.window_seq for r in made] == [r.seq for r in made] == list(range(300))
    stamps = [r.stamp_ns - made[0].stamp_ns for r in made]
    assert max(abs(a - b) for a, b in zip(stamps, file_stamps_ns, strict=True)) < 1_000_000

    received = reader.results
    assert reader.subscriber.missed == reader.subscriber.malformed == 0
    assert [r.stamp_ns for r in received] == [r.stamp_ns for r in made]
    assert all(np.array_equal(a.mask, b.mask) for a, b in zip(received, made, strict=True))
    assert all(r.source_size == (360, 288) and r.dropped == 0 for r in received)
    assert all({"capture", "wait", "total"} <= r.latency_ms.keys() for r in received)

    states = Counter(r.state for r in received)
    assert states[ResultState.RESET] == 1
    assert states[ResultState.NO_AUDIO] <= 25
    assert set(states) == {ResultState.RESET, ResultState.NO_AUDIO, ResultState.OK}
    check_who_sounds(received)

    with av.open(str(video)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 300
        assert container.streams.audio


def test_in_real_time_ages_stay_small_and_every_frame_is_accounted_for(
    talkers: Path, model: AnyModel
) -> None:
    config = RunConfig(source=str(talkers), publish=PublishConfig(address="tcp://127.0.0.1:*"))
    made: list[MaskResult] = []
    with Publisher(config.publish, config.name) as publisher:
        reader = Reader(publisher.address, "latest")
        reader.start()
        listeners = (made.append, publisher.publish)
        with Pipeline(config, Media(str(talkers), config.media), model, listeners) as pipeline:
            run_until_done(pipeline, duration_s=5)
        reader.stop.set()
        reader.join()
    assert len(made) + pipeline.ledger.dropped_frames() == pipeline.captured
    assert 110 <= pipeline.captured <= 130  # 5 s at 25 Hz
    assert sum(r.dropped for r in made) <= pipeline.ledger.dropped_frames()
    stamps = [r.stamp_ns for r in made]
    assert stamps == sorted(set(stamps))
    assert np.median([r.age_ms for r in made]) < 500
    got = [r.stamp_ns for r in reader.results]
    assert got
    assert got == sorted(set(got))
    assert set(got) <= set(stamps)


def check_who_sounds(results: list[MaskResult]) -> None:
    """A person sounds while a voice is there, nothing sounds once it is gone."""
    start_ns = results[0].stamp_ns
    voiced, muted = [], []
    for r in results:
        at_s = (r.stamp_ns - start_ns) / NS_PER_S
        if MUTED_S[0] + FORGET_S < at_s < MUTED_S[1]:
            muted.append(bool(r.mask.any()))
        elif FORGET_S < at_s < MUTED_S[0] or at_s > MUTED_S[1] + FORGET_S:
            voiced.append(set(np.unique(r.mask)) == {0, PERSON})
    assert np.mean(voiced) > 0.9
    assert np.mean(muted) < 0.02


def wait_until(done: Callable[[], bool], timeout_s: float = 10.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not done() and time.monotonic() < end_s:
        time.sleep(0.02)
