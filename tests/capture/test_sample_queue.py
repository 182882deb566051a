from __future__ import annotations

import threading
import time

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream_avs.capture.sample_queue import SampleQueue


@given(
    steps=st.lists(st.one_of(st.integers(1, 8), st.none()), max_size=80),
    slots=st.integers(1, 6),
    channels=st.integers(1, 3),
)
def test_like_a_list_with_a_limit_that_accounts_for_every_sample(
    steps: list[int | None], slots: int, channels: int
) -> None:
    """An int pushes so many samples, None pops."""
    queue = SampleQueue(slots, 8, channels)
    held: list[tuple[np.ndarray, int]] = []
    lost = pushed = 0
    for step in steps:
        if step is None:
            got = queue.pop()
            assert (got is None) == (not held)
            if got is not None:
                samples, lost_before = held.pop(0)
                assert np.array_equal(got.samples, samples)
                assert got.lost == lost_before
                assert (got.adc_s, got.stream_s) == (float(samples[0, 0]), 2.5)
                assert (got.called_ns, got.overflowed) == (round(samples[0, 0]), False)
            continue
        samples = np.arange(pushed, pushed + step * channels, dtype=np.float32).reshape(step, channels)
        pushed += step * channels
        queue.push(samples, float(samples[0, 0]), 2.5, round(samples[0, 0]), False)
        if len(held) < slots:
            held.append((samples, lost))
            lost = 0
        else:
            lost += step


def test_a_block_longer_than_a_slot_is_lost_and_counted() -> None:
    queue = SampleQueue(4, 8, 1)
    queue.push(np.zeros((9, 1), np.float32), 0, 0, 0, False)
    queue.push(np.ones((2, 1), np.float32), 0, 0, 0, True)
    got = queue.pop()
    assert got is not None
    assert (len(got.samples), got.lost, got.overflowed) == (2, 9, True)
    assert queue.pop() is None


def test_what_was_popped_is_not_overwritten() -> None:
    queue = SampleQueue(1, 2, 1)
    queue.push(np.ones((2, 1), np.float32), 0, 0, 0, False)
    first = queue.pop()
    queue.push(np.zeros((2, 1), np.float32), 0, 0, 0, False)
    assert first is not None
    assert first.samples.tolist() == [[1], [1]]


def test_two_threads_lose_nothing_but_what_is_counted() -> None:
    queue = SampleQueue(8, 4, 1)
    blocks = 20_000

    def produce() -> None:
        for number in range(blocks):
            queue.push(np.full((1 + number % 4, 1), number, np.float32), 0, 0, number, False)
            if number % 50 == 0:
                time.sleep(0)

    thread = threading.Thread(target=produce)
    thread.start()
    seen, lost, expected = 0, 0, 0
    deadline_s = time.monotonic() + 30
    while time.monotonic() < deadline_s:
        alive = thread.is_alive()
        got = queue.pop()
        if got is None:
            if not alive:
                break
            time.sleep(0)
            continue
        missing = sum(1 + n % 4 for n in range(expected, got.called_ns))
        assert got.lost == missing, "every hole is as long as it says"
        assert np.all(got.samples == got.called_ns), "no block is torn"
        assert len(got.samples) == 1 + got.called_ns % 4
        expected = got.called_ns + 1
        seen += len(got.samples)
        lost += got.lost
    tail = sum(1 + n % 4 for n in range(expected, blocks))
    assert seen + lost + tail == sum(1 + n % 4 for n in range(blocks))
    assert seen > 0
