from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recording_sink import RecordingSink

from stream_avs.capture.live_time import SETTLE_NS, LiveTime, Place
from stream_avs.types import NS_PER_S

BEGIN_NS = 50 * NS_PER_S


def feed(
    time: LiveTime, first_s: float, begun_ns: int, delays_ms: list[float], fps: float = 25
) -> list[tuple[Place, int, int | None]]:
    """Let a camera send frames, each `delays_ms` late; return (place, true capture time, stamp)."""
    seen = []
    arrival_ns = 0
    for k, delay_ms in enumerate(delays_ms):
        media_s = first_s + k / fps
        true_ns = begun_ns + round(k / fps * NS_PER_S)
        arrival_ns = max(arrival_ns, true_ns + round(delay_ms * 1e6))
        place = time.arrived(True, media_s, media_s, arrival_ns)
        seen.append((place, true_ns, time.stamp_ns(media_s)))
    return seen


@settings(max_examples=30)
@given(first_s=st.floats(-1, 95000), seed=st.integers(0, 1000), jitter_ms=st.floats(0.1, 30))
def test_stamps_follow_the_earliest_arrivals(first_s: float, seed: int, jitter_ms: float) -> None:
    delays = 20 + np.random.default_rng(seed).exponential(jitter_ms, 250)
    sink = RecordingSink()
    seen = feed(LiveTime(sink), first_s, BEGIN_NS, list(delays))
    for place, true_ns, stamp_ns in seen[-100:]:
        assert place is Place.SETTLED
        assert stamp_ns is not None
        assert -1 < (stamp_ns - true_ns) / 1e6 < 20 + 2 * jitter_ms
    assert not sink.discontinuities


def test_a_backlog_at_the_start_is_not_handed_over() -> None:
    # 2 s of old pictures come in one burst: frame k is 2 s - k/25 late
    delays = [max(0.0, 2000 - 40 * k) + 10 for k in range(150)]
    sink = RecordingSink()
    seen = feed(LiveTime(sink), 0.0, BEGIN_NS, delays)
    handed = [(true_ns, stamp_ns) for place, true_ns, stamp_ns in seen if place is Place.SETTLED]
    assert handed
    assert all(stamp_ns is not None and abs(stamp_ns - true_ns) < 60e6 for true_ns, stamp_ns in handed)
    assert not sink.discontinuities


@pytest.mark.parametrize("again_s", [0.0, 7200.0])
def test_a_jump_begins_anew_at_once(again_s: float) -> None:
    sink = RecordingSink()
    time = LiveTime(sink)
    feed(time, 3600.0, BEGIN_NS, [10.0] * 100)
    later_ns = BEGIN_NS + 5 * NS_PER_S
    seen = feed(time, again_s, later_ns, [10.0] * 50)
    assert [reason for reason, _ in sink.discontinuities] == ["time stamps jumped"]
    assert seen[0][0] is Place.SETTLING
    for place, true_ns, stamp_ns in seen[1:]:
        assert stamp_ns is not None
        assert abs(stamp_ns - true_ns) < 60e6
        assert (place is Place.SETTLED) == (true_ns + 10e6 - (later_ns + 10e6) >= SETTLE_NS)


def test_stragglers_from_before_a_jump_are_ignored() -> None:
    sink = RecordingSink()
    time = LiveTime(sink)
    feed(time, 3600.0, BEGIN_NS, [10.0] * 100)
    now_ns = BEGIN_NS + 5 * NS_PER_S
    feed(time, 0.0, now_ns, [10.0] * 5)
    assert time.arrived(False, 3603.5, 3603.6, now_ns + NS_PER_S // 4) is Place.MISPLACED
    assert time.stamp_ns(3603.5) is None
    feed(time, 0.2, now_ns + NS_PER_S // 5, [10.0] * 20)
    assert time.arrived(False, 3604.0, 3604.1, now_ns + 3 * NS_PER_S // 2) is Place.MISPLACED
    assert time.arrived(False, 1.0, 1.1, now_ns + 3 * NS_PER_S // 2) is Place.SETTLED
    assert len(sink.discontinuities) == 1


def test_sound_in_late_bunches_does_not_move_the_pictures() -> None:
    sink = RecordingSink()
    time = LiveTime(sink)
    for k in range(250):
        now_ns = BEGIN_NS + k * NS_PER_S // 25
        time.arrived(True, k / 25, k / 25, now_ns + 10_000_000)
        if k % 18 == 17:  # 0.72 s of sound at once, in packets of 24 ms
            for j in range(30):
                begin_s = (k - 18) / 25 + j * 0.024
                time.arrived(False, begin_s, begin_s + 0.024, now_ns + 15_000_000 + j * 10_000)
        if k > 100:
            stamp_ns = time.stamp_ns(k / 25)
            assert stamp_ns is not None
            assert abs(stamp_ns - now_ns) < 12e6
    assert not sink.discontinuities


def test_packets_without_time_are_only_decoded() -> None:
    time = LiveTime(RecordingSink())
    assert time.arrived(True, None, None, BEGIN_NS) is Place.SETTLING
    assert time.stamp_ns(1.0) is None
