from __future__ import annotations

import itertools
import threading
import time
from pathlib import Path

import av
from clips import make_clip
from hypothesis import given
from hypothesis import strategies as st

from stream_avs.capture.packets import LONGEST_QUEUE_NS, Arrived, Connection, PacketQueue
from stream_avs.clock import monotonic_ns


def arrived(number: int, kind: str, at_ns: int) -> Arrived:
    """`kind` is "a" for audio, "v" for video, "K" for a key frame."""
    return Arrived(packet=number, is_video=kind != "a", is_key=kind in "aK", arrival_ns=at_ns)


def drained(queue: PacketQueue) -> list[int]:
    taken = []
    while (packet := queue.get(0)) is not None:
        taken.append(packet.packet)
    return taken


@given(st.text("avK", max_size=60))
def test_a_reader_that_keeps_up_gets_everything_in_order(kinds: str) -> None:
    queue = PacketQueue()
    for number, kind in enumerate(kinds):
        queue.put(arrived(number, kind, number * 40_000_000))
        assert drained(queue) == [number]
    assert queue.take_skipped() == 0


@given(kinds=st.text("avK", min_size=1, max_size=200), step_ms=st.integers(1, 200), reads=st.integers(0, 5))
def test_a_slow_reader_loses_pictures_only_and_begins_again_at_a_key_frame(
    kinds: str, step_ms: int, reads: int
) -> None:
    queue = PacketQueue()
    kinds = "K" + kinds
    taken = []
    for number, kind in enumerate(kinds):
        queue.put(arrived(number, kind, number * step_ms * 1_000_000))
        if reads and number % reads == 0:
            packet = queue.get(0)
            taken += [packet.packet] if packet else []
    taken += drained(queue)
    skipped = queue.take_skipped()
    assert taken == sorted(taken)
    assert [n for n in taken if kinds[n] == "a"] == [n for n, kind in enumerate(kinds) if kind == "a"]
    pictures = [n for n in taken if kinds[n] != "a"]
    everything = [n for n, kind in enumerate(kinds) if kind != "a"]
    assert len(pictures) + skipped == len(everything)
    for before, after in itertools.pairwise(pictures):
        unbroken = everything.index(after) == everything.index(before) + 1
        assert unbroken or kinds[after] == "K", "a decoder can begin nowhere else"


def test_the_queue_never_holds_much_more_than_a_second_of_pictures() -> None:
    queue = PacketQueue()
    for number in range(1000):
        queue.put(arrived(number, "K" if number % 12 == 0 else "v", number * 40_000_000))
    left = drained(queue)
    assert left[-1] == 999
    assert (left[-1] - left[0]) * 40_000_000 <= LONGEST_QUEUE_NS


def test_get_wakes_for_a_packet_and_for_the_end() -> None:
    queue = PacketQueue()
    threading.Timer(0.05, queue.put, [arrived(1, "v", 0)]).start()
    packet = queue.get(5)
    assert packet is not None
    assert packet.packet == 1
    assert not queue.exhausted
    threading.Timer(0.05, queue.end).start()
    begun_s = time.monotonic()
    assert queue.get(5) is None
    assert time.monotonic() - begun_s < 2
    assert queue.exhausted


def test_a_connection_reads_to_the_end_while_nobody_decodes(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.ts", 1.0)
    container = av.open(str(path))
    tracks = [container.streams.video[0], container.streams.audio[0]]
    connection = Connection(container, tracks, "test", monotonic_ns)
    packets = list(connection.packets(threading.Event()))
    assert sum(p.is_video for p in packets) == 25
    assert connection.error is None
    assert sum(len(p.packet.decode()) for p in packets if p.is_video) >= 24
    connection.close()
