from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_avs.timing.source_watch import MISSING_S, SourceStatus, SourceWatch
from stream_avs.types import NS_PER_S, SourceState


class Time:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        return self.ns

    def pass_s(self, seconds: float) -> None:
        self.ns += round(seconds * NS_PER_S)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def watch(time: Time) -> SourceWatch:
    return SourceWatch(time)


def live(watch: SourceWatch) -> None:
    watch.frame()
    watch.sound()


def test_a_source_waits_until_its_first_picture(watch: SourceWatch, time: Time) -> None:
    assert watch.status() == SourceStatus(state=SourceState.WAITING, detail="no picture yet")
    time.pass_s(10)
    watch.sound()
    assert watch.status().state is SourceState.WAITING
    watch.frame()
    assert watch.status() == SourceStatus(state=SourceState.LIVE)


def test_one_that_hangs_without_a_word_is_seen_waiting(watch: SourceWatch, time: Time) -> None:
    live(watch)
    time.pass_s(MISSING_S)
    assert watch.status().state is SourceState.LIVE
    time.pass_s(0.6)
    assert watch.status() == SourceStatus(state=SourceState.WAITING, detail="no picture for 3 s")


def test_missing_sound_is_silence_and_the_next_sound_ends_it(watch: SourceWatch, time: Time) -> None:
    live(watch)
    time.pass_s(2.5)
    watch.frame()
    assert watch.status() == SourceStatus(state=SourceState.SILENT, detail="no sound for 2 s")
    watch.sound()
    assert watch.status().state is SourceState.LIVE
    watch.announce(SourceState.SILENT, "microphone 1 was unplugged")
    assert watch.status() == SourceStatus(state=SourceState.SILENT, detail="microphone 1 was unplugged")
    watch.sound()
    assert watch.status().state is SourceState.LIVE


def test_a_lost_source_reconnects_until_a_picture_comes(watch: SourceWatch, time: Time) -> None:
    live(watch)
    watch.announce(SourceState.RECONNECTING, "camera 0 is gone")
    time.pass_s(30)
    watch.sound()
    assert watch.status() == SourceStatus(state=SourceState.RECONNECTING, detail="camera 0 is gone")
    watch.announce(SourceState.LIVE)
    assert watch.status().state is SourceState.WAITING, "open again, but no picture has come"
    live(watch)
    assert watch.status().state is SourceState.LIVE


@given(
    st.lists(st.sampled_from(["frame", "sound", *SourceState]), max_size=20),
    st.sampled_from([SourceState.ENDED, SourceState.FAILED]),
)
def test_the_first_end_is_final(calls: list[str], end: SourceState) -> None:
    watch = SourceWatch(Time())
    watch.announce(end, "so it is")
    for call in calls:
        if isinstance(call, SourceState):
            watch.announce(call)
        else:
            getattr(watch, call)()
    assert watch.status() == SourceStatus(state=end, detail="so it is")
