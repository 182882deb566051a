"""Join: which frame is served when, under each policy, and every frame has one fate."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from join_scene import Scene, entries_at, seqs

from stream_avs.config import Policy, WindowConfig
from stream_avs.errors import ConfigError
from stream_avs.ledger import Ledger
from stream_avs.timing.frame_ring import FrameRing
from stream_avs.timing.join import Join, pick_frames
from stream_avs.types import FRAME_DROPS, NS_PER_MS, NS_PER_S, Event

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
