"""Bookkeeping of slots, batches and combined calls."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_avs.engine.batch_sizes import batches
from stream_avs.engine.combiner import Combiner
from stream_avs.engine.frame_slots import FrameSlots

S = 1_000_000_000


def test_the_newest_looks_back_at_the_frames_before_it_nearest_first() -> None:
    slots = FrameSlots(4)
    places = [slots.place(seq, seq * S) for seq in range(3)]
    assert slots.before(places[2], 3, 0) == [places[1], places[0]]
    assert slots.before(places[0], 3, 0) == []


@given(st.integers(1, 6), st.lists(st.booleans(), min_size=1, max_size=40))
def test_without_spacing_the_last_frames_are_kept_whatever_repeats(slots: int, repeats: list[bool]) -> None:
    kept, placed, seq = FrameSlots(slots), [], 0
    for repeat in repeats:
        seq += not repeat
        placed.append((seq, kept.place(seq, seq * S)))
        newest = placed[-1][1]
        assert kept.find(seq) == newest
        expected = [slot for _, slot in placed[-slots:-1]][::-1]
        assert kept.before(newest, slots - 1, 0) == expected
        assert len({slot for _, slot in placed[-slots:]}) == min(slots, len(placed))


@given(st.lists(st.integers(1, 900_000_000), min_size=1, max_size=60))
def test_with_spacing_frames_nearest_to_whole_spacings_are_looked_at(steps_ns: list[int]) -> None:
    kept, stamps, stamp_ns = FrameSlots(len(steps_ns)), {}, 0
    for seq, step_ns in enumerate(steps_ns):
        stamp_ns += step_ns
        stamps[kept.place(seq, stamp_ns)] = stamp_ns
    newest = max(stamps, key=lambda slot: stamps[slot])
    for slot in kept.before(newest, 4, S):
        ago_ns = stamp_ns - stamps[slot]
        k = max(1, round(ago_ns / S))
        off_ns = abs(ago_ns - k * S)
        assert off_ns <= S // 2
        others = [abs(stamp_ns - other - k * S) for s, other in stamps.items() if s != newest]
        assert off_ns == min(others)


def test_needed_slots_are_never_taken() -> None:
    slots = FrameSlots(3)
    a, b, c = (slots.place(seq, seq * S) for seq in range(3))
    assert slots.place(3, 3 * S, needed=[a, c]) == b
    assert slots.find(1) is None
    with pytest.raises(ValueError, match="all 3 slots are needed"):
        slots.place(4, 4 * S, needed=[a, b, c])


def test_when_all_are_of_use_they_are_thinned_not_cut_short() -> None:
    slots = FrameSlots(8)
    for seq in range(200):
        slots.place(seq, seq * S // 10, since_ns=-1)
    kept = sorted(seq for seq in range(200) if slots.find(seq) is not None)
    assert len(kept) == 8
    assert kept[0] < 60
    assert kept[-1] == 199


def test_outdated_frames_go_before_any_is_thinned() -> None:
    slots = FrameSlots(3)
    for seq in range(3):
        slots.place(seq, seq * S)
    assert slots.crowded(0, ())
    assert not slots.crowded(1 * S, ())
    assert slots.place(3, 3 * S, since_ns=S) == 0


def test_growing_keeps_what_is_there() -> None:
    slots = FrameSlots(2)
    slots.place(0, 0)
    slots.place(1, S)
    slots.grow(4)
    assert (slots.find(0), slots.find(1), len(slots)) == (0, 1, 4)
    assert slots.place(2, 2 * S) == 2
    assert slots.place(3, 3 * S) == 3


@given(st.integers(1, 200), st.sets(st.integers(1, 64), min_size=1))
def test_batches_take_every_row_once_in_sizes_there_are(count: int, sizes: set[int]) -> None:
    cut = batches(count, sorted(sizes))
    assert sum(rows for rows, _ in cut) == count
    assert all(0 < rows <= size and size in sizes for rows, size in cut)
    assert all(size == max(sizes) for _, size in cut[:-1])
    assert batches(count, None) == [(count, count)]


# combined calls


def test_one_caller_alone_gets_its_answer_at_once() -> None:
    combiner: Combiner[int, int] = Combiner(lambda asked: [2 * a for a in asked], 4)
    assert [combiner.call(i) for i in range(5)] == [0, 2, 4, 6, 8]


def test_callers_that_come_meanwhile_go_together_and_never_two_batches_at_once() -> None:
    sizes, running = [], []

    def run(asked: Sequence[int]) -> list[int]:
        running.append(1)
        assert len(running) == 1
        time.sleep(0.02)
        sizes.append(len(asked))
        running.pop()
        return [a + 100 for a in asked]

    combiner: Combiner[int, int] = Combiner(run, 4)
    answers: dict[int, list[int]] = {k: [] for k in range(10)}

    def live(k: int) -> None:
        for i in range(6):
            answers[k].append(combiner.call(10 * k + i))
            with combiner.alone():
                assert not running

    threads = [threading.Thread(target=live, args=(k,)) for k in answers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert answers == {k: [100 + 10 * k + i for i in range(6)] for k in range(10)}
    assert sum(sizes) == 60
    assert max(sizes) <= 4
    assert len(sizes) < 60


def test_an_error_reaches_everyone_in_the_batch_and_the_next_goes_on() -> None:
    def run(asked: Sequence[int]) -> list[int]:
        if 0 in asked:
            raise ZeroDivisionError
        return list(asked)

    combiner: Combiner[int, int] = Combiner(run, 4)
    with pytest.raises(ZeroDivisionError):
        combiner.call(0)
    assert combiner.call(3) == 3
