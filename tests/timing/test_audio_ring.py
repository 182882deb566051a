"""AudioRing: a row holds exactly the samples that end at the time asked for."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_avs.ledger import Ledger
from stream_avs.timing.audio_ring import AudioRing
from stream_avs.types import NS_PER_S, AudioBlock, Event

RATE = 1000  # one sample per millisecond: times read like indices
MS = 1_000_000
T0 = 5 * NS_PER_S


def block(first_ms: int, n: int, *, stamp_ms: float | None = None, rate: int = RATE) -> AudioBlock:
    """Samples whose value is the millisecond they begin at."""
    samples = np.arange(first_ms, first_ms + n, dtype=np.float32)[:, None]
    stamp_ns = T0 + round((first_ms if stamp_ms is None else stamp_ms) * MS)
    return AudioBlock(samples=samples, stamp_ns=stamp_ns, sample_rate_hz=rate)


def ring_of(buffer_s: float = 1.0, **settings: float) -> tuple[AudioRing, Ledger]:
    ledger = Ledger()
    return AudioRing(RATE, buffer_s, ledger, **settings), ledger


def at(ms: float) -> int:
    return T0 + round(ms * MS)


def test_the_last_sample_of_a_row_ends_at_the_time_asked_for() -> None:
    ring, _ = ring_of()
    ring.push(block(0, 20))
    row, coverage = ring.read(at(15), 5)
    assert row.tolist() == [10, 11, 12, 13, 14]
    assert row.dtype == np.float32
    assert coverage == 1.0
    # 15.4 ms is nearest to the end of sample 14, 15.6 ms to that of sample 15
    assert ring.read(at(15.4), 1)[0].tolist() == [14]
    assert ring.read(at(15.6), 1)[0].tolist() == [15]


def test_before_the_start_and_after_the_end_is_silence_and_uncovered() -> None:
    ring, _ = ring_of()
    ring.push(block(10, 10))
    row, coverage = ring.read(at(12), 4)
    assert row.tolist() == [0, 0, 10, 11]
    assert coverage == 0.5
    row, coverage = ring.read(at(22), 4)
    assert row.tolist() == [18, 19, 0, 0]
    assert coverage == 0.5
    assert ring.read(at(-5000), 4)[1] == 0
    assert ring.read(at(9_000_000), 4)[1] == 0


def test_an_empty_ring_reads_silence_and_has_no_end() -> None:
    ring, _ = ring_of()
    row, coverage = ring.read(at(0), 3)
    assert row.tolist() == [0, 0, 0]
    assert coverage == 0
    assert ring.newest_end_ns is None
    assert not ring.complete(at(0))


def test_newest_end_and_complete_agree_with_the_rows() -> None:
    ring, _ = ring_of()
    ring.push(block(0, 20))
    assert ring.newest_end_ns == at(20)
    assert ring.complete(at(20))
    assert ring.complete(at(20.4))  # the nearest sample end is there
    assert not ring.complete(at(20.6))
    ring.close()
    assert ring.closed
    assert ring.complete(at(1000))
    ring.push(block(20, 1))
    assert not ring.closed


def test_a_gap_is_filled_with_zeros_marked_missing() -> None:
    ring, ledger = ring_of()
    ring.push(block(0, 20))
    ring.push(block(60, 20))
    row, coverage = ring.read(at(70), 70)
    assert row.tolist() == [*range(20), *([0] * 40), *range(60, 70)]
    assert coverage == pytest.approx(30 / 70)
    assert ledger.counts() == {Event.AUDIO_GAP: 1}


def test_a_gap_of_ten_seconds_in_a_ring_of_thirty() -> None:
    ring, ledger = ring_of(buffer_s=30)
    ring.push(block(0, 1000))
    ring.push(block(11_000, 1000))
    row, coverage = ring.read(at(12_000), 12_000)
    assert coverage == pytest.approx(2 / 12)
    assert np.array_equal(row[:1000], np.arange(1000))
    assert not row[1000:11_000].any()
    assert np.array_equal(row[11_000:], np.arange(11_000, 12_000))
    assert ledger.counts() == {Event.AUDIO_GAP: 1}


def test_samples_that_come_twice_are_stored_once() -> None:
    ring, ledger = ring_of()
    ring.push(block(0, 40))
    ring.push(block(20, 40))  # the first 20 are known
    ring.push(block(0, 15))  # all known
    row, coverage = ring.read(at(60), 60)
    assert row.tolist() == list(range(60))
    assert coverage == 1.0
    assert ring.newest_end_ns == at(60)
    assert ledger.counts() == {Event.AUDIO_OVERLAP: 2}


def test_a_jump_longer_than_the_ring_starts_over() -> None:
    for jump_ms in (5000, -5000):
        ring, ledger = ring_of(buffer_s=1)
        ring.push(block(0, 100))
        ring.push(block(jump_ms, 100))
        assert ring.read(at(jump_ms + 100), 200)[1] == 0.5
        assert ring.read(at(100), 100)[1] == 0
        assert ledger.counts() == {Event.AUDIO_GAP: 1}


def test_after_a_break_audio_is_kept_apart_by_epoch() -> None:
    ring, ledger = ring_of()
    ring.push(block(100, 100))
    assert not ring.complete(at(210), epoch=0)
    ring.break_here()
    assert ring.newest_end_ns is None
    assert ring.complete(at(210), epoch=0)  # no more will come for what was before
    assert not ring.complete(at(0), epoch=1)
    ring.push(block(0, 50))  # time went back: a loop
    assert ring.read(at(200), 100, epoch=0)[0].tolist() == list(range(100, 200))
    assert ring.read(at(50), 100, epoch=1)[0].tolist() == [0] * 50 + list(range(50))
    assert ring.read(at(50), 100, epoch=1)[1] == 0.5
    assert ring.read(at(250), 100, epoch=0)[1] == 0.5  # never runs on into the next epoch
    assert ring.read(at(50), 50, epoch=7)[1] == 0
    assert ring.newest_end_ns == at(50)
    assert ledger.counts() == {}


def test_many_breaks_without_audio_leave_nothing_behind() -> None:
    ring, _ = ring_of()
    ring.push(block(0, 10))
    for _ in range(1000):
        ring.break_here()
    ring.push(block(0, 30))
    assert ring.read(at(30), 30, epoch=1000)[1] == 1.0
    assert ring.read(at(10), 10, epoch=0)[1] == 1.0
    assert ring.read(at(10), 10, epoch=500)[1] == 0


def test_samples_that_are_not_finite_are_missing() -> None:
    ring, ledger = ring_of()
    bad = block(0, 4)
    bad.samples[1] = np.nan
    bad.samples[2] = np.inf
    ring.push(bad)
    row, coverage = ring.read(at(4), 4)
    assert row.tolist() == [0, 0, 0, 3]
    assert coverage == 0.5
    assert ledger.counts() == {Event.AUDIO_GAP: 1}
    assert ledger.recent()[0].detail == "not finite"


def test_channels_are_averaged() -> None:
    ring, _ = ring_of()
    samples = np.array([[0.0, 1.0], [0.5, -0.5], [1.0, 1.0]], np.float32)
    ring.push(AudioBlock(samples=samples, stamp_ns=T0, sample_rate_hz=RATE))
    assert ring.read(at(3), 3)[0].tolist() == [0.5, 0.0, 1.0]


def test_wrong_blocks_are_refused() -> None:
    ring, _ = ring_of()
    with pytest.raises(ValueError, match="expected 1000 Hz"):
        ring.push(block(0, 10, rate=999))
    for samples in (np.zeros(4, np.float32), np.zeros((4, 1)), np.zeros((4, 0), np.float32)):
        with pytest.raises(ValueError, match="expected float32"):
            ring.push(AudioBlock(samples=samples, stamp_ns=0, sample_rate_hz=RATE))
    with pytest.raises(ValueError, match="positive"):
        AudioRing(0, 1.0, Ledger())


def test_small_deviations_move_time_and_keep_every_sample() -> None:
    ring, ledger = ring_of()
    ring.push(block(0, 20))
    ring.push(block(20, 20, stamp_ms=24))  # 4 ms late: within tolerance
    assert ledger.counts() == {}
    assert ring.newest_end_ns == at(44)
    assert ring.read(at(44), 40)[0].tolist() == list(range(40))
    assert ring.read(at(34), 5)[0].tolist() == list(range(25, 30))


def test_a_drifting_device_is_followed() -> None:
    """A device 500 ppm slow: after 100 s its samples are 50 ms late, and rows still end on time."""
    ring, ledger = ring_of(buffer_s=3)
    for k in range(5000):
        ring.push(block(k * 20, 20, stamp_ms=k * 20 * 1.0005))
    assert ledger.counts() == {}
    now = 5000 * 20
    row, coverage = ring.read(at(now * 1.0005), 100)
    assert coverage == 1.0
    assert row[-1] == now - 1
    assert ring.read(at(now), 1)[0][0] == now - 1 - 50


@given(
    capacity=st.integers(5, 80),
    lengths=st.lists(st.integers(0, 120), min_size=1, max_size=30),
    back=st.integers(-5, 100),
    n=st.integers(1, 60),
)
@settings(max_examples=300, deadline=None)
def test_wrap_around_keeps_the_newest(capacity: int, lengths: list[int], back: int, n: int) -> None:
    ring, _ = ring_of(buffer_s=capacity / RATE)
    head = 0
    for length in lengths:
        ring.push(block(head, length))
        head += length
    row, coverage = ring.read(at(head - back), n)
    wanted = np.arange(head - back - n, head - back)
    there = (wanted >= max(0, head - capacity)) & (wanted < head)
    assert np.array_equal(row, np.where(there, wanted, 0))
    assert coverage == pytest.approx(there.mean())


@given(
    pieces=st.lists(st.tuples(st.integers(1, 40), st.integers(-30, 60)), min_size=1, max_size=25),
    end=st.integers(-20, 1500),
    n=st.integers(1, 300),
)
@settings(max_examples=300, deadline=None)
def test_gaps_and_overlaps_never_move_a_sample(pieces: list[tuple[int, int]], end: int, n: int) -> None:
    """Blocks of a signal whose value encodes its time, pushed with holes and repeats."""
    ring, _ = ring_of(buffer_s=5, gap_tolerance_s=0)
    known: dict[int, float] = {}
    head = None
    for length, step in pieces:
        first = (0 if head is None else head) + step
        ring.push(block(first, length))
        for t in range(first, first + length):
            if head is None or t >= head:
                known[t] = t
        head = first + length if head is None else max(head, first + length)
    row, coverage = ring.read(at(end), n)
    wanted = range(end - n, end)
    assert row.tolist() == [known.get(t, 0) for t in wanted]
    assert coverage == pytest.approx(sum(t in known for t in wanted) / n)


@given(jitter_ms=st.lists(st.floats(-4.9, 4.9), min_size=3, max_size=40), blocks_ms=st.integers(1, 30))
@settings(max_examples=150, deadline=None)
def test_time_to_index_is_monotone_whatever_the_jitter(jitter_ms: list[float], blocks_ms: int) -> None:
    ring, _ = ring_of(buffer_s=5)
    for k, jitter in enumerate(jitter_ms):
        ring.push(block(k * blocks_ms, blocks_ms, stamp_ms=k * blocks_ms + jitter))
    end_ms = len(jitter_ms) * blocks_ms
    rows = [float(ring.read(at(t), 1)[0][0]) for t in np.arange(6, end_ms - 5, 0.5)]
    assert rows == sorted(rows)


def test_tiny_blocks_stamped_out_of_order_keep_time_monotone() -> None:
    ring, ledger = ring_of()
    for k in range(100):
        ring.push(block(k, 1, stamp_ms=k + (4 if k % 2 else -4)))
    assert ledger.counts() == {}
    rows = [float(ring.read(at(t), 1)[0][0]) for t in np.arange(10, 90, 0.25)]
    assert rows == sorted(rows)
    assert all(abs(row - t) < 6 for row, t in zip(rows, np.arange(10, 90, 0.25), strict=True))


def test_spare_counts_down_to_the_moment_of_overwriting() -> None:
    ring, _ = ring_of(buffer_s=1)
    assert ring.spare_s(at(0), 0) == 1.0
    ring.push(block(0, 600))
    assert ring.spare_s(at(0), 0) == pytest.approx(0.4)
    assert ring.spare_s(at(-500), 0) == pytest.approx(0.4)  # nothing was captured before 0
    ring.break_here()
    ring.push(block(0, 400))
    assert ring.spare_s(at(0), 0) == pytest.approx(0.0)
    assert ring.read(at(600), 600, epoch=0)[1] == 1.0
    ring.push(block(400, 1))
    assert ring.read(at(600), 600, epoch=0)[1] < 1.0


def test_a_reader_beside_the_writer_never_sees_a_wrong_sample() -> None:
    ring, _ = ring_of(buffer_s=2)
    ring.push(block(0, 1000))
    done = threading.Event()

    def write() -> None:
        for k in range(50, 10_000):
            ring.push(block(k * 20, 20))
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    wrong = reads = 0
    while not done.is_set():
        end_ns = ring.newest_end_ns
        assert end_ns is not None
        row, coverage = ring.read(end_ns, 500)
        last = (end_ns - T0) // MS
        # The writer may have lapped us since: then samples are missing, and said to be.
        right = (row == np.arange(last - 500, last)) & (row != 0)
        wrong += np.count_nonzero(right) != round(coverage * 500) or np.any(row[~right])
        reads += 1
    writer.join()
    assert wrong == 0
    assert reads > 10
