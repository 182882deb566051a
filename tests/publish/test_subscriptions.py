"""Who wants what, and what a subscriber that floods can do."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_results import assert_same, make_result

from stream_avs.config import PublishConfig
from stream_avs.ledger import Ledger
from stream_avs.publish.subscriber import Subscriber
from stream_avs.publish.subscriptions import MAX_BYTES, MAX_FOREIGN, Subscriptions
from stream_avs.publish.zeromq import Publisher
from stream_avs.types import Event

TOPICS = (b"latest/cam0\0", b"stream/cam0\0")


def test_prefixes_reach_topics() -> None:
    subscriptions = Subscriptions(TOPICS)
    for message in (b"\1latest/cam0\0", b"\1latest/", b"\1", b"\1latest/cam1\0", b"\2latest/cam0\0", b""):
        subscriptions.take(message)
    assert subscriptions.wants(TOPICS[0])
    assert subscriptions.count(TOPICS[0]) == 3
    assert subscriptions.count(TOPICS[1]) == 1
    assert subscriptions.count() == 3
    for message in (b"\0latest/cam0\0", b"\0latest/", b"\0"):
        subscriptions.take(message)
    assert not subscriptions.wants(TOPICS[0])
    assert subscriptions.count() == 0


@settings(deadline=None)
@given(st.lists(st.binary(max_size=16), max_size=300))
def test_nothing_foreign_is_kept_and_nothing_goes_below_zero(messages: list[bytes]) -> None:
    subscriptions = Subscriptions(TOPICS)
    for message in messages:
        subscriptions.take(message)
        assert subscriptions.count() >= 0
    assert not subscriptions.flooded
    for k in range(MAX_FOREIGN + len(messages) + 1):
        subscriptions.take(b"\1other %d" % k)
    assert subscriptions.flooded
    for k in range(MAX_FOREIGN + len(messages) + 1):
        subscriptions.take(b"\0other %d" % k)
    assert not subscriptions.flooded


def test_the_longest_topic_can_be_subscribed_to() -> None:
    name = "\U00010400" * 64  # 4 bytes each in UTF-8
    with Publisher(PublishConfig(address="tcp://127.0.0.1:*"), name) as publisher:
        with Subscriber(publisher.address, name) as subscriber:
            result = None
            end_s = time.monotonic() + 5
            while result is None and time.monotonic() < end_s:
                publisher.publish(make_result(stream=name))
                result = subscriber.recv(0.02)
        assert result is not None


FLOOD = """
import os, sys, time, zmq
socket = zmq.Context().socket(zmq.XSUB)
socket.connect(sys.argv[1])
end_s, size = time.monotonic() + 0.8, int(sys.argv[2])
while time.monotonic() < end_s:
    if socket.poll(10, zmq.POLLOUT):
        socket.send(b"\\1" + os.urandom(size))
"""


@pytest.mark.parametrize("size", [40, MAX_BYTES - 10, 100_000])
def test_a_flood_of_subscriptions_fills_no_memory_and_the_honest_come_back(size: int) -> None:
    ledger = Ledger()
    with (
        Publisher(PublishConfig(address="tcp://127.0.0.1:*"), "cam0", ledger) as publisher,
        Subscriber(publisher.address) as honest,
    ):
        while honest.recv(0.02) is None:
            publisher.publish(make_result())
        before_mb = resident_mb()
        flood = subprocess.Popen([sys.executable, "-c", FLOOD, publisher.address, str(size)])
        while flood.poll() is None:
            publisher.publish(make_result())
            time.sleep(0.01)
        assert resident_mb() - before_mb < 150  # without a limit: 300 MB a second
        end_s = time.monotonic() + 10
        while honest.recv(0):  # what had been sent before
            pass
        result = None
        while result is None:
            assert time.monotonic() < end_s
            publisher.publish(make_result(window_seq=99))
            result = honest.recv(0.02)
        assert_same(result, make_result(window_seq=99))
    if size < MAX_BYTES:
        assert ledger.counts()[Event.REFUSED] >= 1


def resident_mb() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
