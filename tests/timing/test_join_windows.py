"""What a window of the join holds: rows that end at their stamps, frames in order, nothing across a break."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from join_scene import RATE, Scene, entries_at, seqs

from stream_avs.config import Policy
from stream_avs.timing.join import pick_frames
from stream_avs.types import NS_PER_MS, Event

# --- what a window holds


@pytest.mark.parametrize("shift_s", [0.0, 0.037, -0.052])
def test_every_row_ends_at_its_stamp_plus_the_shift(shift_s: float) -> None:
    scene = Scene(timeshift_cam_mic_s=shift_s)
    scene.sound(0, 1000)
    stamps_ms = [500.0, 533.0, 566.4, 600.6, 633.0]
    for stamp_ms in stamps_ms:
        scene.frame(stamp_ms)
    window = scene.serve()
    assert window is not None
    assert window.audio.shape == (5, 100)
    assert window.audio.dtype == np.float32
    assert window.sample_rate_hz == RATE
    for row, stamp_ms in zip(window.audio, stamps_ms, strict=True):
        end_ms = round(stamp_ms + shift_s * 1000)
        assert row.tolist() == list(range(end_ms - 100, end_ms))
    assert window.audio_coverage.tolist() == [1.0] * 5
    assert (window.distinct, window.reset, window.reset_reason) == (5, True, "start")
    assert window.newest.stamp_ns == round(633.0 * NS_PER_MS)


@given(
    steps_ms=st.lists(st.integers(1, 90), min_size=1, max_size=12),
    shift_ms=st.integers(-300, 300),
    spacing_ms=st.sampled_from([0, 0, 33, 100]),
)
@settings(max_examples=150, deadline=None)
def test_rows_are_exact_whatever_the_frame_times(steps_ms: list[int], shift_ms: int, spacing_ms: int) -> None:
    scene = Scene(timeshift_cam_mic_s=shift_ms / 1000, frame_spacing_s=spacing_ms / 1000)
    scene.sound(0, 3000)
    scene.audio.close()  # type: ignore[union-attr]
    stamp_ms = 500
    for step_ms in steps_ms:
        stamp_ms += step_ms
        scene.frame(stamp_ms)
        window = scene.serve()
        assert window is not None
        assert window.newest.stamp_ns == stamp_ms * NS_PER_MS
        for frame, row in zip(window.frames, window.audio, strict=True):
            end_ms = frame.stamp_ns // NS_PER_MS + shift_ms
            assert row.tolist() == list(range(end_ms - 100, end_ms))
        assert window.distinct == len(set(seqs(window)))


def test_the_first_windows_repeat_their_oldest_frame() -> None:
    scene = Scene(with_audio=False)
    scene.frame(0)
    first = scene.serve()
    scene.frame(40)
    second = scene.serve()
    assert (seqs(first), seqs(second)) == ([0] * 5, [0, 0, 0, 0, 1])
    assert first is not None
    assert second is not None
    assert (first.distinct, second.distinct) == (1, 2)
    assert (first.reset, second.reset) == (True, False)


def test_without_audio_rows_are_silent_and_frames_do_not_wait() -> None:
    scene = Scene(with_audio=False)
    scene.frame(0)
    assert scene.join.wait_ns() == 0
    window = scene.serve()
    assert window is not None
    assert window.audio.shape == (5, 100)
    assert not window.audio.any()
    assert not window.audio_coverage.any()


def test_spaced_frames_are_the_nearest_within_half_a_spacing() -> None:
    entries = entries_at([0, 95, 180, 215, 290, 330, 400])
    picked = pick_frames(entries, entries[-1], count=5, spacing_ns=100, gap_ns=10_000)
    assert [e.stamp_ns for e in picked] == [0, 95, 215, 290, 400]


def test_a_spaced_frame_that_is_missing_repeats_the_one_after_it() -> None:
    entries = entries_at([0, 100, 300, 400])
    picked = pick_frames(entries, entries[-1], count=5, spacing_ns=100, gap_ns=10_000)
    assert [e.stamp_ns for e in picked] == [0, 100, 300, 300, 400]


@given(
    steps=st.lists(st.integers(1, 300), min_size=0, max_size=30),
    count=st.integers(1, 7),
    spacing=st.sampled_from([0, 1, 40, 100]),
    gap=st.sampled_from([150, 10_000]),
)
def test_picked_frames_are_ordered_and_cross_no_gap(
    steps: list[int], count: int, spacing: int, gap: int
) -> None:
    entries = entries_at([0, *np.cumsum(steps).tolist()])
    newest = entries[-1]
    picked = pick_frames(entries, newest, count=count, spacing_ns=spacing, gap_ns=gap)
    assert len(picked) == count
    assert picked[-1] == newest
    assert [e.seq for e in picked] == sorted(e.seq for e in picked)
    for entry in picked:
        between = [e.stamp_ns for e in entries[entry.seq :]]
        assert all(b - a <= gap for a, b in itertools.pairwise(between))
    for k, entry in enumerate(reversed(picked)):
        if spacing and entry not in picked[count - k :]:
            assert abs(newest.stamp_ns - k * spacing - entry.stamp_ns) <= spacing / 2
    if not spacing and gap == 10_000:
        assert len({e.seq for e in picked}) == min(count, len(entries))


# --- segments and resets


@pytest.mark.parametrize("reason", ["seek", "loop", "reconnect"])
def test_windows_and_audio_never_cross_a_break(reason: str) -> None:
    scene = Scene(Policy.EVERY)
    scene.sound(0, 1000)
    for stamp_ms in (800, 840, 880):
        scene.frame(stamp_ms)
    scene.join.break_here(reason)
    scene.sound(0, 300)
    for stamp_ms in (50, 90):
        scene.frame(stamp_ms)
    windows = list(scene.serve_all())
    assert [seqs(w) for w in windows] == [
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1],
        [0, 0, 0, 1, 2],
        [3, 3, 3, 3, 3],
        [3, 3, 3, 3, 4],
    ]
    assert [w.reset_reason for w in windows] == ["start", "", "", reason, ""]
    # frames from before the break still get their own audio, those after it none of the old
    assert windows[2].audio[-1].tolist() == list(range(780, 880))
    assert windows[3].audio[-1].tolist() == [0] * 50 + list(range(50))
    assert windows[3].audio_coverage[-1] == 0.5
    assert scene.ledger.counts() == {Event.DISCONTINUITY: 1}


def test_a_geometry_change_resets_and_keeps_the_audio() -> None:
    scene = Scene()
    scene.sound(0, 1000)
    scene.frame(500)
    scene.serve()
    scene.frames.push(np.zeros((4, 4, 3), np.uint8), 540 * NS_PER_MS, 0)
    window = scene.serve()
    assert window is not None
    assert (seqs(window), window.reset_reason) == ([1] * 5, "geometry")
    assert window.audio_coverage.tolist() == [1.0] * 5


def test_a_hole_in_the_frames_resets_and_is_counted() -> None:
    scene = Scene(with_audio=False, gap_s=2.0)
    for stamp_ms in (0, 40):
        scene.frame(stamp_ms)
        scene.serve()
    scene.now_ms = 10_040
    scene.frame(10_040)
    window = scene.serve()
    assert window is not None
    assert (seqs(window), window.reset_reason) == ([2] * 5, "gap")
    scene.frame(10_080)
    window = scene.serve()
    assert window is not None
    assert (seqs(window), window.reset) == ([2, 2, 2, 2, 3], False)
    assert scene.ledger.counts() == {Event.DISCONTINUITY: 1}


def test_a_requested_reset_is_honoured_once() -> None:
    scene = Scene(with_audio=False)
    reasons = []
    for k in range(5):
        scene.frame(k)
        if k == 2:
            scene.join.request_reset()
        if k == 3:
            scene.join.request_reset("step failed")
        window = scene.serve()
        assert window is not None
        assert window.reset == bool(window.reset_reason)
        reasons.append(window.reset_reason)
    assert reasons == ["start", "", "request", "step failed", ""]
    with pytest.raises(ValueError, match="needs a reason"):
        scene.join.request_reset("")
