"""Recording with real sources: files, the synthetic scene, and their failures."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from stream_avs.calibration.record import MAX_SPAN_S, FrameFeed, Recorder, record, shrink
from stream_avs.capture.base import SourceInfo
from stream_avs.capture.media import Media
from stream_avs.capture.synthetic import Synthetic
from stream_avs.config import MediaConfig, Pace, SyntheticConfig
from stream_avs.errors import SourceError
from stream_avs.types import AudioBlock, Event, StampSource

FAST = MediaConfig(pace=Pace.FAST)


def test_a_file_is_read_to_its_end(talkers: Path) -> None:
    recorder = Recorder()
    info = record(Media(talkers, FAST), recorder, 0.1)
    pictures, (piece,) = recorder.pictures(), recorder.sound()
    assert pictures.grey.shape[0] == len(pictures.stamps_ns) == 300
    assert pictures.grey.shape[2] == 128
    assert pictures.period_s == pytest.approx(0.04)
    assert pictures.stamp_source is StampSource.CONTAINER
    assert len(piece.samples) / piece.rate_hz == pytest.approx(12, abs=0.1)
    samples, rate_hz = recorder.samples()
    assert (len(samples), rate_hz) == (len(piece.samples), info.sample_rate_hz)


def test_a_live_source_is_stopped_when_the_time_is_over() -> None:
    recorder = Recorder()
    ticks: list[float] = []
    names: list[str] = []
    began = time.monotonic()
    record(
        Synthetic(SyntheticConfig(fps=25)), recorder, 1.0,
        opened=lambda info: names.append(info.name), tick=ticks.append,
    )  # fmt: skip
    assert 1.0 <= time.monotonic() - began < 4.0
    assert names == ["synthetic scene"]
    assert ticks == sorted(ticks)
    assert len(ticks) >= 2
    assert len(recorder.pictures().stamps_ns) >= 15
    count = len(recorder.pictures().stamps_ns)
    time.sleep(0.2)
    assert len(recorder.pictures().stamps_ns) == count


def test_only_what_is_asked_for_is_kept(talkers: Path) -> None:
    deaf, blind = Recorder(sound=False), Recorder(pictures=False)
    for recorder in (deaf, blind):
        record(Media(talkers, FAST), recorder, 1.0)
    assert deaf.sound() == ()
    assert deaf.samples()[1] == 0
    assert len(blind.pictures().stamps_ns) == 0
    assert blind.pictures().period_s == 0


def test_a_source_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        record(Media(tmp_path / "none.mp4", FAST), Recorder(), 1.0)


class Failing:
    """A source that dies after it has begun."""

    def open(self) -> object:
        return Synthetic().open()

    def start(self, sink: Recorder) -> None:
        threading.Timer(0.05, lambda: sink.ended(SourceError("the cable was pulled"))).start()

    def stop(self) -> None:
        pass


def test_a_source_that_fails_is_an_error() -> None:
    with pytest.raises(SourceError, match="the cable was pulled"):
        record(Failing(), Recorder(), 5.0)  # type: ignore[arg-type]


def test_ctrl_c_ends_the_recording_and_keeps_it() -> None:
    recorder = Recorder()

    def tick(elapsed_s: float) -> None:
        if elapsed_s > 0.5:
            raise KeyboardInterrupt

    record(Synthetic(), recorder, 60.0, tick=tick)
    assert recorder.remarks == ("stopped by Ctrl-C",)
    assert len(recorder.pictures().stamps_ns) > 0


def test_stamps_that_do_not_rise_are_left_out() -> None:
    recorder = Recorder()
    image = np.zeros((48, 64, 3), np.uint8)
    for stamp_ns in (10, 20, 20, 15, 30):
        recorder.frame(image, stamp_ns, stamp_ns)
    assert recorder.pictures().stamps_ns.tolist() == [10, 20, 30]


def test_pictures_of_another_shape_begin_anew() -> None:
    recorder = Recorder()
    for stamp_ns in (10, 20, 30):
        shape = (48, 64, 3) if stamp_ns < 30 else (64, 64, 3)
        recorder.frame(np.zeros(shape, np.uint8), stamp_ns, stamp_ns)
    assert recorder.pictures().stamps_ns.tolist() == [30]


def test_memory_is_bounded() -> None:
    recorder = Recorder()
    late_ns = round((MAX_SPAN_S + 1) * 1e9)
    for stamp_ns in (0, late_ns):
        recorder.frame(np.zeros((4, 4, 3), np.uint8), stamp_ns, stamp_ns)
        recorder.audio(
            AudioBlock(samples=np.zeros((4, 1), np.float32), stamp_ns=stamp_ns, sample_rate_hz=8000)
        )
    assert recorder.done.is_set()
    assert recorder.pictures().stamps_ns.tolist() == [0]
    assert len(recorder.samples()[0]) == 4
    assert recorder.remarks == ("only the first 300 s are used",)


def test_what_happens_on_the_way_is_remembered_once_per_kind() -> None:
    recorder = Recorder()
    for count in (12, 7):
        recorder.event(Event.AUDIO_OVERRUN, 0, f"{count} samples")
    recorder.event(Event.RECONNECT, 0)
    recorder.discontinuity("seek", 0)
    assert recorder.remarks == ("audio_overrun, 2 times: 7 samples", "reconnect", "discontinuity: seek")


def test_a_clock_that_snaps_begins_the_recording_anew() -> None:
    # Then pictures and sound cannot be compared across it; sound alone still can.
    for recorder, kept in ((Recorder(), 0), (Recorder(pictures=False), 4)):
        recorder.audio(AudioBlock(samples=np.zeros((4, 1), np.float32), stamp_ns=0, sample_rate_hz=8000))
        assert recorder.elapsed_s >= 0
        recorder.event(Event.CLOCK_SNAP, 0, "+170 ms")
        assert len(recorder.samples()[0]) == kept
        assert (recorder.elapsed_s == 0) == (kept == 0)


class Late:
    """A source whose sound comes a while after its start, as from a sound server that wakes up."""

    def open(self) -> SourceInfo:
        return SourceInfo(name="late", sample_rate_hz=8000, channels=1)

    def start(self, sink: Recorder) -> None:
        threading.Thread(target=self._run, args=(sink,), daemon=True).start()

    def _run(self, sink: Recorder) -> None:
        time.sleep(0.8)
        for n in range(400):
            block = np.zeros((80, 1), np.float32)
            sink.audio(AudioBlock(samples=block, stamp_ns=n * 10_000_000, sample_rate_hz=8000))
            time.sleep(0.01)

    def stop(self) -> None:
        pass


def test_the_time_counts_from_the_first_data_on() -> None:
    recorder = Recorder(pictures=False)
    began = time.monotonic()
    record(Late(), recorder, 1.0)  # type: ignore[arg-type]
    assert time.monotonic() - began > 1.75
    assert recorder.sound()[0].samples.size >= 4000


def test_blocks_are_copied() -> None:
    recorder = Recorder()
    samples = np.ones((4, 1), np.float32)
    recorder.audio(AudioBlock(samples=samples, stamp_ns=0, sample_rate_hz=8000))
    samples[:] = 0
    assert recorder.samples()[0].tolist() == [1, 1, 1, 1]


def test_shrinking_averages() -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    image[:, :320] = 200
    small = shrink(image)
    assert small.shape == (96, 128)
    assert small[:, :64].min() == 200
    assert small[:, 64:].max() == 0


def test_a_live_feed_gives_the_newest_frame() -> None:
    feed = FrameFeed(live=True)
    for value in (1, 2, 3):
        feed.frame(np.full((2, 2, 3), value, np.uint8), value, value)
    taken = feed.take()
    assert taken is not None
    assert (taken[0][0, 0, 0], taken[1]) == (3, 3)
    assert feed.take() is None
    feed.ended()
    assert feed.exhausted


def test_a_file_feed_gives_every_frame_some_time_apart(talkers: Path) -> None:
    feed = FrameFeed(live=False, every_s=0.25)
    source = Media(talkers, FAST)
    source.open()
    source.start(feed)
    stamps_ns = []
    while not feed.exhausted:
        taken = feed.take()
        if taken is not None:
            stamps_ns.append(taken[1])
            assert taken[0].shape == (384, 384, 3) or taken[0].ndim == 3
    source.stop()
    # 300 frames of 40 ms: the next one 250 ms or more later is 280 ms later.
    assert len(stamps_ns) == 43
    assert (np.diff(stamps_ns) == 280_000_000).all()


def test_a_closed_feed_lets_its_source_go() -> None:
    feed = FrameFeed(live=False)
    image = np.zeros((2, 2, 3), np.uint8)
    feed.frame(image, 0, 0)
    blocked = threading.Thread(target=feed.frame, args=(image, 1, 1))
    blocked.start()
    blocked.join(0.15)
    assert blocked.is_alive()
    feed.close()
    blocked.join(1.0)
    assert not blocked.is_alive()
