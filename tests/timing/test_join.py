"""Join: every row ends at its stamp, every frame has one fate, and windows never cross a break."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_avs.config import Policy, WindowConfig
from stream_avs.errors import ConfigError
from stream_avs.ledger import Ledger
from stream_avs.timing.audio_ring import AudioRing
from stream_avs.timing.frame_ring import FrameEntry, FrameRing
from stream_avs.timing.join import Join, pick_frames
from stream_avs.types import FRAME_DROPS, NS_PER_MS, NS_PER_S, AudioBlock, Event, Window

RATE = 1000
PICTURE = np.zeros((2, 2, 3), np.uint8)


class Scene:
    """Rings, join and a clock that is set by hand; audio whose samples say when they begin, in ms."""

    def __init__(
        self,
        policy: Policy = Policy.FRESHEST,
        *,
        slots: int = 16,
        context_s: float = 0.1,
        with_audio: bool = True,
        **window: float,
    ) -> None:
        self.ledger = Ledger()
        self.now_ms = 0.0
        self.frames = FrameRing(slots, self.ledger)
        self.audio = AudioRing(RATE, window.get("audio_buffer_s", 10.0), self.ledger) if with_audio else None
        self.join = Join(
            self.frames,
            self.audio,
            WindowConfig(frame_slots=max(slots, 7), **{"audio_buffer_s": 10.0, **window}),  # type: ignore[arg-type]
            context_s=context_s,
            policy=policy,
            clock=lambda: round(self.now_ms * NS_PER_MS),
            ledger=self.ledger,
            sample_rate_hz=RATE,
        )

    def frame(self, stamp_ms: float, arrival_ms: float | None = None) -> int | None:
        arrival_ns = round((self.now_ms if arrival_ms is None else arrival_ms) * NS_PER_MS)
        return self.frames.push(PICTURE, round(stamp_ms * NS_PER_MS), arrival_ns)

    def sound(self, begin_ms: int, end_ms: int) -> None:
        assert self.audio is not None
        samples = np.arange(begin_ms, end_ms, dtype=np.float32)[:, None]
        stamp_ns = begin_ms * NS_PER_MS
        self.audio.push(AudioBlock(samples=samples, stamp_ns=stamp_ns, sample_rate_hz=RATE))

    def serve(self) -> Window | None:
        held = self.join.next_window()
        if held is None:
            return None
        with held as window:
            return window

    def serve_all(self) -> Iterator[Window]:
        while (window := self.serve()) is not None:
            yield window


def seqs(window: Window | None) -> list[int]:
    assert window is not None
    return [frame.seq for frame in window.frames]


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


def entries_at(stamps: list[int], segment: int = 0) -> list[FrameEntry]:
    return [
        FrameEntry(seq=k, stamp_ns=t, arrival_ns=0, segment=segment, reason="start", epoch=0)
        for k, t in enumerate(stamps)
    ]


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


# --- freshest


def test_freshest_serves_the_newest_with_audio_and_counts_the_older() -> None:
    scene = Scene()
    scene.sound(0, 110)
    for stamp_ms in (0, 40, 80, 120):
        scene.frame(stamp_ms)
    window = scene.serve()
    assert window is not None
    assert window.newest.seq == 2  # the audio of 3 is not there yet
    assert scene.ledger.counts() == {Event.SUPERSEDED: 2}
    assert scene.serve() is None
    scene.sound(110, 120)
    window = scene.serve()
    assert window is not None
    assert window.newest.seq == 3
    assert seqs(window) == [0, 0, 1, 2, 3]  # frames passed over still serve as history
    assert scene.ledger.counts() == {Event.SUPERSEDED: 2}


def test_freshest_waits_for_audio_only_so_long() -> None:
    scene = Scene(audio_wait_s=0.2, staleness_budget_s=0.5)
    scene.sound(0, 50)
    scene.frame(100, arrival_ms=0)
    assert scene.join.wait_ns() == 200 * NS_PER_MS
    scene.now_ms = 199
    assert scene.serve() is None
    assert scene.join.wait_ns() == NS_PER_MS
    scene.now_ms = 200
    assert scene.join.wait_ns() == 0
    window = scene.serve()
    assert window is not None
    assert window.audio_coverage[-1] == 0.5
    assert window.audio[-1].tolist() == [*range(50), *([0] * 50)]
    assert scene.ledger.counts() == {Event.AUDIO_LATE: 1}
    assert scene.join.wait_ns() is None


def test_the_wait_for_audio_never_makes_a_frame_stale() -> None:
    """A wait longer than the staleness budget is cut, or no frame would ever be served."""
    scene = Scene(audio_wait_s=0.4, staleness_budget_s=0.1)
    served = 0
    for k in range(100):
        scene.now_ms = 10.0 * k
        scene.frame(10.0 * k)
        served += scene.serve() is not None
    assert served > 80
    assert scene.ledger.counts()[Event.AUDIO_LATE] == served
    assert Event.STALE not in scene.ledger.counts()


def test_a_closed_audio_ring_keeps_nobody_waiting() -> None:
    scene = Scene()
    scene.audio.close()  # type: ignore[union-attr]
    scene.frame(100)
    assert scene.join.wait_ns() == 0
    assert scene.serve() is not None
    assert scene.ledger.counts() == {}


def test_freshest_drops_what_is_stale_by_arrival() -> None:
    scene = Scene(with_audio=False, staleness_budget_s=0.5)
    scene.frame(1_000_000, arrival_ms=0)  # a device clock that is far ahead cannot keep it fresh
    scene.now_ms = 501
    assert scene.join.wait_ns() is None
    assert scene.serve() is None
    assert scene.ledger.counts() == {Event.STALE: 1}
    scene.frame(1_000_040, arrival_ms=501)
    assert seqs(scene.serve()) == [0, 0, 0, 0, 1]


# --- every


def test_every_serves_all_in_turn_and_waits_for_audio() -> None:
    scene = Scene(Policy.EVERY)
    scene.sound(0, 70)
    for stamp_ms in (0, 40, 80):
        scene.frame(stamp_ms)
    scene.now_ms = 1e6  # time does not matter here
    assert [w.newest.seq for w in scene.serve_all()] == [0, 1]
    assert scene.join.wait_ns() is None
    scene.sound(70, 80)
    assert scene.join.wait_ns() == 0
    assert [w.newest.seq for w in scene.serve_all()] == [2]
    assert scene.ledger.counts() == {}


def test_every_gives_up_on_audio_when_the_source_waits_for_room() -> None:
    scene = Scene(Policy.EVERY, slots=7)
    scene.sound(0, 10)
    k = 0
    while scene.join.room:
        scene.frame(100 + 40 * k)
        k += 1
    assert k == 7
    window = scene.serve()
    assert window is not None
    assert window.newest.seq == 0
    assert scene.ledger.counts() == {Event.AUDIO_LATE: 1}


@pytest.mark.parametrize(("spacing_s", "slots"), [(0.0, 7), (0.08, 12)])
def test_a_fast_file_never_costs_a_window_its_history(spacing_s: float, slots: int) -> None:
    """A source that fills all the room there is before each window is served."""
    scene = Scene(Policy.EVERY, slots=slots, frame_spacing_s=spacing_s, with_audio=False)
    pushed, windows = 0, []
    while len(windows) < 60:
        while scene.join.room:
            assert scene.frame(40 * pushed) == pushed
            pushed += 1
        window = scene.serve()
        assert window is not None
        windows.append(window)
    everything = entries_at([40 * NS_PER_MS * k for k in range(pushed)])
    for k, window in enumerate(windows):
        spacing_ns = round(spacing_s * NS_PER_S)
        wanted = pick_frames(everything, everything[k], count=5, spacing_ns=spacing_ns, gap_ns=NS_PER_S)
        assert seqs(window) == [entry.seq for entry in wanted]
    assert scene.ledger.counts() == {}


@pytest.mark.parametrize("loop_every", [10_000, 17])
def test_a_slow_picture_does_not_let_its_audio_be_overwritten(loop_every: int) -> None:
    """One frame per second, 10 s of audio ring, 40 frame slots: the audio ring is full first."""
    scene = Scene(Policy.EVERY, slots=40, context_s=2.0)
    pushed = served = 0
    while served < 60:
        while scene.join.room and pushed < 65:
            k = pushed % loop_every
            if pushed and k == 0:
                scene.join.break_here("loop")
            scene.sound(1000 * k, 1000 * (k + 1))
            scene.frame(1000 * (k + 1))
            pushed += 1
        window = scene.serve()
        assert window is not None
        k = served % loop_every
        assert window.audio_coverage.tolist() == [min(1.0, (max(k - b, 0) + 1) / 2) for b in (4, 3, 2, 1, 0)]
        served += 1
    assert Event.AUDIO_LATE not in scene.ledger.counts()
    assert pushed - served > 1


# --- leases, accounts, errors


def test_frames_are_held_until_the_window_is_left() -> None:
    scene = Scene(with_audio=False, slots=5)
    for k in range(5):
        scene.frame(k)
    held = scene.join.next_window()
    assert held is not None
    with held as window:
        assert scene.frame(5) is None
        assert seqs(window) == [0, 1, 2, 3, 4]
    held.release()  # a second time does nothing
    assert scene.frame(5) == 5
    assert scene.ledger.counts() == {Event.SUPERSEDED: 4, Event.RING_HELD: 1}


def test_frames_are_released_when_a_step_fails() -> None:
    scene = Scene(with_audio=False, slots=5)
    for k in range(5):
        scene.frame(k)
    held = scene.join.next_window()
    assert held is not None
    with pytest.raises(RuntimeError), held:
        raise RuntimeError
    assert scene.frame(5) == 5


actions = st.lists(
    st.one_of(
        st.tuples(st.just("frame"), st.integers(-20, 200)),
        st.tuples(st.just("sound"), st.integers(1, 300)),
        st.tuples(st.just("serve"), st.just(0)),
        st.tuples(st.just("wait"), st.integers(0, 700)),
        st.tuples(st.just("break"), st.just(0)),
        st.tuples(st.just("close"), st.just(0)),
        st.tuples(st.just("resize"), st.integers(1, 2)),
    ),
    max_size=80,
)


@given(policy=st.sampled_from([Policy.FRESHEST, Policy.EVERY]), slots=st.integers(7, 10), actions=actions)
@settings(max_examples=300, deadline=None)
def test_every_frame_is_served_once_or_counted_once(
    policy: Policy, slots: int, actions: list[tuple[str, int]]
) -> None:
    scene = Scene(policy, slots=slots)
    stamp_ms, heard_ms, size, pushed = 0, 0, 1, 0
    served: list[int] = []
    for name, arg in actions:
        if name == "frame":
            if policy is Policy.EVERY and not scene.join.room:
                continue
            stamp_ms += arg
            image = np.zeros((size, 2, 3), np.uint8)
            scene.frames.push(image, stamp_ms * NS_PER_MS, round(scene.now_ms * NS_PER_MS))
            pushed += 1
        elif name == "sound":
            scene.sound(heard_ms, heard_ms + arg)
            heard_ms += arg
        elif name == "serve":
            promised = scene.join.wait_ns()
            window = scene.serve()
            assert (window is not None) == (promised == 0)
            if window is not None:
                served.append(window.newest.seq)
        elif name == "wait":
            scene.now_ms += arg
        elif name == "break":
            scene.join.break_here("seek")
            stamp_ms -= 500
        elif name == "close":
            scene.audio.close()  # type: ignore[union-attr]
        elif name == "resize":
            size = arg
    assert served == sorted(set(served))
    waiting = len(scene.frames.unserved())
    assert scene.join.abandon() == waiting
    assert scene.join.abandon() == 0
    counts = scene.ledger.counts()
    assert counts.get(Event.SHUTDOWN, 0) == waiting
    assert pushed == len(served) + scene.ledger.dropped_frames()
    if policy is Policy.EVERY:
        assert set(counts) & FRAME_DROPS <= {Event.LATE_STAMP, Event.DUPLICATE_STAMP, Event.SHUTDOWN}


def test_a_camera_thread_beside_the_join_loses_nothing_uncounted() -> None:
    scene = Scene(with_audio=False, slots=7)
    total, pushing = 5000, threading.Event()

    def push() -> None:
        for k in range(total):
            scene.frame(k)
        pushing.set()

    camera = threading.Thread(target=push)
    camera.start()
    served = []
    while not pushing.is_set() or scene.frames.unserved():
        window = scene.serve()
        if window is not None:
            served.append(window.newest.seq)
    camera.join()
    assert served == sorted(set(served))
    assert len(served) + scene.ledger.dropped_frames() == total


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigError, match="audio_buffer_s"):
        Scene(context_s=9.5)
    with pytest.raises(ValueError, match="policy auto"):
        Scene(Policy.AUTO)
    with pytest.raises(ValueError, match="at 0 Hz"):
        Join(
            FrameRing(7, Ledger()),
            None,
            WindowConfig(),
            context_s=1,
            policy=Policy.EVERY,
            clock=lambda: NS_PER_S,
            ledger=Ledger(),
        )
