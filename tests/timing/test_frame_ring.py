"""FrameRing: nothing is lost uncounted, and what a reader holds never changes."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_avs.ledger import Ledger
from stream_avs.timing.frame_ring import FrameRing
from stream_avs.types import Event, Image

MS = 1_000_000


def picture(value: int, height: int = 4, width: int = 6) -> Image:
    return np.full((height, width, 3), value % 256, np.uint8)


def ring_of(slots: int) -> tuple[FrameRing, Ledger]:
    ledger = Ledger()
    return FrameRing(slots, ledger), ledger


def test_stored_frames_are_numbered_without_holes_and_keep_what_was_pushed() -> None:
    ring, _ = ring_of(4)
    image = picture(7)
    assert ring.push(image, 10 * MS, 11 * MS, frame_id="left") == 0
    image[:] = 0  # the ring has its own copy
    assert ring.push(picture(8), 10 * MS, 12 * MS) is None
    assert ring.push(picture(9), 20 * MS, 21 * MS) == 1
    first, second = ring.hold([0, 1])
    assert (first.seq, first.stamp_ns, first.arrival_ns, first.frame_id) == (0, 10 * MS, 11 * MS, "left")
    assert np.all(first.image == 7)
    assert np.all(second.image == 9)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 6, 3), np.float32),
        np.zeros((4, 6), np.uint8),
        np.zeros((4, 6, 4), np.uint8),
        np.zeros((0, 6, 3), np.uint8),
    ],
)
def test_wrong_images_are_refused(image: Image) -> None:
    ring, _ = ring_of(2)
    with pytest.raises(ValueError, match="expected uint8"):
        ring.push(image, 0, 0)


def test_a_ring_without_slots_is_refused() -> None:
    with pytest.raises(ValueError, match="slots is 0"):
        FrameRing(0, Ledger())


def test_late_and_duplicate_stamps_are_counted_apart() -> None:
    ring, ledger = ring_of(4)
    ring.push(picture(0), 100, 0)
    assert ring.push(picture(1), 99, 0) is None
    assert ring.push(picture(2), 100, 0) is None
    assert ledger.counts() == {Event.LATE_STAMP: 1, Event.DUPLICATE_STAMP: 1}


def test_after_a_break_stamps_may_go_back_and_the_reason_is_kept() -> None:
    ring, ledger = ring_of(4)
    ring.push(picture(0), 100, 0)
    ring.break_here("loop")
    assert ring.push(picture(1), 50, 0) == 1
    assert ring.push(picture(2), 60, 0) == 2
    assert [(e.segment, e.reason, e.epoch) for e in ring.entries()] == [
        (0, "start", 0),
        (1, "loop", 1),
        (1, "loop", 1),
    ]
    assert ledger.counts() == {Event.DISCONTINUITY: 1}


def test_a_break_waits_for_a_frame_that_is_stored() -> None:
    ring, _ = ring_of(1)
    ring.push(picture(0), 100, 0)
    ring.hold([0])
    ring.break_here("seek")
    assert ring.push(picture(1), 50, 0) is None
    ring.release([0])
    ring.push(picture(1), 50, 0)
    assert ring.entries()[0].reason == "seek"


def test_a_break_before_the_first_frame_is_still_the_start() -> None:
    ring, ledger = ring_of(2)
    ring.break_here("reconnect")
    ring.push(picture(0), 1, 0)
    assert (ring.entries()[0].reason, ring.entries()[0].epoch) == ("start", 1)
    assert ledger.counts() == {}


def test_a_break_needs_a_reason() -> None:
    ring, _ = ring_of(2)
    with pytest.raises(ValueError, match="needs a reason"):
        ring.break_here("")


def test_a_geometry_change_begins_a_segment_and_leaves_leased_views_alone() -> None:
    ring, ledger = ring_of(3)
    for k in range(3):
        ring.push(picture(k + 1), k, 0)
    held = ring.hold([1, 2])
    for k in range(3, 20):
        ring.push(picture(k + 1, height=9, width=5), k, 0)
    assert [np.unique(frame.image).tolist() for frame in held] == [[2], [3]]
    assert ring.entries()[-1].reason == "geometry"
    assert len(ring.entries()) == 3
    assert ledger.counts()[Event.DISCONTINUITY] == 1
    assert ring.hold([19])[0].image.shape == (9, 5, 3)


def test_overwriting_an_unserved_frame_is_counted_a_served_one_not() -> None:
    ring, ledger = ring_of(2)
    ring.push(picture(0), 0, 0)
    ring.push(picture(1), 1, 0)
    assert ring.mark_served(0)
    ring.push(picture(2), 2, 0)  # overwrites 0
    assert ledger.counts() == {}
    ring.push(picture(3), 3, 0)  # overwrites 1
    assert ledger.counts() == {Event.SUPERSEDED: 1}
    assert [e.seq for e in ring.unserved()] == [2, 3]
    assert not ring.mark_served(1)
    assert not ring.mark_served(0)


def test_when_readers_hold_every_slot_the_frame_is_refused() -> None:
    ring, ledger = ring_of(2)
    ring.push(picture(0), 0, 0)
    ring.push(picture(1), 1, 0)
    ring.hold([0, 1, 1])
    assert ring.push(picture(2), 2, 0) is None
    ring.release([1])
    assert ring.push(picture(2), 2, 0) is None  # 1 is still held once
    assert ledger.counts() == {Event.RING_HELD: 2}
    ring.release([1])
    assert ring.push(picture(2), 2, 0) == 2
    assert [e.seq for e in ring.entries()] == [0, 2]


def test_holding_is_all_or_nothing_and_releasing_needs_a_hold() -> None:
    ring, _ = ring_of(2)
    ring.push(picture(0), 0, 0)
    with pytest.raises(KeyError):
        ring.hold([0, 5])
    with pytest.raises(ValueError, match="frame 0 is not held"):
        ring.release([0])


def test_room_means_nothing_unserved_is_overwritten() -> None:
    ring, _ = ring_of(2)
    assert ring.room
    ring.push(picture(0), 0, 0)
    ring.push(picture(1), 1, 0)
    assert not ring.room
    ring.mark_served(0)
    assert ring.room
    ring.hold([0])
    assert not ring.room  # 1 would have to go, and is not served


@pytest.mark.parametrize(("frames", "span_ns"), [(2, 0), (0, 2 * MS)])
def test_room_spares_the_history_of_the_next_frame(frames: int, span_ns: int) -> None:
    ring, _ = ring_of(4)
    ring.keep_history(frames, span_ns)
    for k in range(4):
        ring.push(picture(k), k * MS, 0)
    ring.mark_served(0)
    ring.mark_served(1)
    assert not ring.room  # 2 looks back at 0 and 1
    ring.mark_served(2)
    assert ring.room  # 3 looks back at 1 and 2
    ring.mark_served(3)
    assert ring.room


def test_room_needs_no_history_across_a_break() -> None:
    ring, _ = ring_of(2)
    ring.keep_history(4, 0)
    ring.push(picture(0), 0, 0)
    ring.break_here("seek")
    ring.push(picture(1), 1, 0)
    ring.mark_served(0)
    assert ring.room


operations = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.integers(-3, 5)),  # step of the stamp
        st.tuples(st.just("resize"), st.integers(1, 3)),
        st.tuples(st.just("break"), st.just(0)),
        st.tuples(st.just("hold"), st.integers(0, 5)),
        st.tuples(st.just("release"), st.integers(0, 5)),
        st.tuples(st.just("serve"), st.integers(0, 5)),
    ),
    max_size=60,
)


@given(slots=st.integers(1, 5), operations=operations)
@settings(max_examples=200, deadline=None)
def test_every_push_has_one_fate_and_held_pixels_never_change(
    slots: int, operations: list[tuple[str, int]]
) -> None:
    ring, ledger = ring_of(slots)
    stamp, height, pushed, served = 0, 1, 0, 0
    values: dict[int, int] = {}
    held = []
    for name, arg in operations:
        entries = ring.entries()
        if name == "push":
            stamp += arg
            room = ring.room
            before = dict(ledger.counts())
            seq = ring.push(picture(pushed, height=height), stamp, 0)
            if seq is not None:
                values[seq] = pushed % 256
                assert seq == len(values) - 1
            if room:
                after = ledger.counts()
                assert before.get(Event.RING_HELD, 0) == after.get(Event.RING_HELD, 0)
                assert before.get(Event.SUPERSEDED, 0) == after.get(Event.SUPERSEDED, 0)
            pushed += 1
        elif name == "resize":
            height = arg
        elif name == "break":
            ring.break_here("seek")
        elif name == "hold" and entries:
            held.append(ring.hold([entries[arg % len(entries)].seq])[0])
        elif name == "release" and held:
            ring.release([held.pop(arg % len(held)).seq])
        elif name == "serve" and entries:
            served += ring.mark_served(entries[arg % len(entries)].seq)
        entries = ring.entries()
        seqs = [entry.seq for entry in entries]
        for frame in (*held, *ring.hold(seqs)):
            assert np.all(frame.image == values[frame.seq])
        ring.release(seqs)
        assert len(entries) <= slots
        for older, newer in itertools.pairwise(entries):
            assert older.seq < newer.seq
            assert older.segment < newer.segment or older.stamp_ns < newer.stamp_ns
    assert pushed == served + len(ring.unserved()) + ledger.dropped_frames()


def test_two_threads_readers_never_see_a_frame_change() -> None:
    ring, ledger = ring_of(6)
    total, stop = 4000, threading.Event()
    torn: list[int] = []

    def write() -> None:
        for k in range(total):
            ring.push(picture(k, height=48, width=64), k, 0)
        stop.set()

    writer = threading.Thread(target=write)
    writer.start()
    reads = served = 0
    while not stop.is_set():
        seqs = [entry.seq for entry in ring.entries()][-3:]
        try:
            frames = ring.hold(seqs)
        except KeyError:
            continue
        for _ in range(3):
            torn += [f.seq for f in frames if f.image.min() != f.seq % 256 or f.image.max() != f.seq % 256]
        served += sum(ring.mark_served(seq) for seq in seqs)
        ring.release(seqs)
        reads += 1
    writer.join()
    assert torn == []
    assert reads > 10
    counts = ledger.counts()
    assert set(counts) <= {Event.SUPERSEDED}  # three of six slots are held at most: none is refused
    assert served + len(ring.unserved()) + counts.get(Event.SUPERSEDED, 0) == total
