from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream_avs.capture.timeline import (
    BACKWARD_NS,
    LATE_NS,
    PATIENCE_NS,
    PlaybackClock,
    Splices,
    TrackTime,
)
from stream_avs.types import NS_PER_S

MS = 1_000_000


@given(st.lists(st.integers(0, 500), min_size=1, max_size=50))
def test_time_that_only_grows_or_is_reordered_is_left_alone(steps_ms: list[int]) -> None:
    track = TrackTime(Splices())
    now_ns = 0
    for step_ms in steps_ms:
        now_ns += step_ms * MS
        assert track.place(now_ns, 40 * MS) == now_ns
        assert track.place(max(now_ns - 80 * MS, 0), 40 * MS) == max(now_ns - 80 * MS, 0)


@given(
    first_s=st.integers(0, 1000),
    length_s=st.integers(3, 100),
    again_s=st.integers(0, 1000),
    video_first=st.booleans(),
)
def test_a_splice_keeps_both_tracks_together(
    first_s: int, length_s: int, again_s: int, video_first: bool
) -> None:
    # given a recording that ends at first_s + length_s, and another one joined to it
    again_s = min(again_s, first_s + length_s - 2)
    splices = Splices()
    tracks = [TrackTime(splices), TrackTime(splices)]
    order = tracks if video_first else tracks[::-1]
    for track in tracks:
        for second in range(first_s, first_s + length_s):
            track.place(second * NS_PER_S, NS_PER_S)
    # when either track comes to the splice first
    placed = [track.place(again_s * NS_PER_S, NS_PER_S) for track in order]
    # then time goes on without a step, for both alike
    assert placed == [(first_s + length_s) * NS_PER_S] * 2


def test_less_than_a_second_back_is_no_splice() -> None:
    track = TrackTime(Splices())
    track.place(5 * NS_PER_S, 0)
    assert track.place(5 * NS_PER_S - BACKWARD_NS, 0) == 5 * NS_PER_S - BACKWARD_NS


class HandClock:
    """A clock that moves only when somebody waits, or by hand."""

    def __init__(self) -> None:
        self.now_ns = 7 * NS_PER_S

    def __call__(self) -> int:
        return self.now_ns

    def wait(self, seconds: float) -> bool:
        self.now_ns += round(seconds * NS_PER_S)
        return True


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=30))
def test_nothing_is_due_before_its_time(media_ns: list[int]) -> None:
    clock = HandClock()
    playback = PlaybackClock(clock, clock.wait)
    playback.align(2 * NS_PER_S, clock())
    for moment_ns in sorted(media_ns):
        assert playback.wait_until(moment_ns)
        assert clock() >= playback.stamp_ns(moment_ns) == moment_ns + 5 * NS_PER_S


def test_a_wait_that_is_broken_off_says_so() -> None:
    clock = HandClock()
    assert not PlaybackClock(clock, lambda seconds: False).wait_until(clock() + NS_PER_S)


def test_a_short_stall_is_caught_up_with() -> None:
    clock = HandClock()
    playback = PlaybackClock(clock, clock.wait)
    playback.align(0, clock())
    clock.now_ns += NS_PER_S
    assert playback.slip_ns(0) == 0, "late, but only just noticed"
    clock.now_ns += PATIENCE_NS // 2
    assert playback.slip_ns(2 * NS_PER_S) == 0, "caught up"
    clock.now_ns += PATIENCE_NS
    assert playback.slip_ns(2 * NS_PER_S) == 0, "late again, but only just"


def test_lasting_lateness_slips_by_all_of_it() -> None:
    clock = HandClock()
    playback = PlaybackClock(clock, clock.wait)
    playback.align(0, clock())
    clock.now_ns += 2 * LATE_NS
    assert playback.slip_ns(0) == 0
    clock.now_ns += PATIENCE_NS
    late_ns = playback.slip_ns(MS)
    assert late_ns == 2 * LATE_NS + PATIENCE_NS - MS
    playback.shift(late_ns)
    assert playback.stamp_ns(MS) == clock()
