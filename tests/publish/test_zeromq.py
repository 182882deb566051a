"""Publisher and subscriber over real sockets: what arrives where, who is counted, which addresses bind."""

import contextlib
import socket
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import zmq
from publishers import ANY_PORT, open_publisher, publish_until, publishing_live
from wire_results import assert_same, make_result

from stream_avs.config import Encoding, PublishConfig
from stream_avs.errors import PublishError
from stream_avs.ledger import Ledger
from stream_avs.publish.subscriber import Subscriber, age_ms
from stream_avs.publish.zeromq import Publisher
from stream_avs.types import Event

both_profiles = pytest.mark.parametrize("profile", ["latest", "stream"])


@pytest.fixture
def publishing():
    """Open publishers that are closed at the end."""
    with contextlib.ExitStack() as stack:
        yield lambda *address, **settings: stack.enter_context(open_publisher(*address, **settings))


@both_profiles
@pytest.mark.parametrize("transport", ["tcp", "ipc"])
@pytest.mark.parametrize("encoding", list(Encoding))
def test_a_result_arrives_as_it_was(publishing, tmp_path, transport, profile, encoding):
    tmp_path.chmod(0o700)
    publisher = publishing(ANY_PORT if transport == "tcp" else f"ipc://{tmp_path}/s", encoding=encoding)
    with Subscriber(publisher.address, profile=profile) as subscriber:
        publish_until(publisher, lambda: publisher.subscribers == 1)
        assert_same(subscriber.recv(2.0), make_result())


def test_over_ipv6(publishing):
    try:
        publisher = publishing("tcp://[::1]:*")
    except PublishError as error:
        pytest.skip(f"needs an IPv6 loopback: {error}")
    with Subscriber(publisher.address) as subscriber:
        publish_until(publisher, lambda: publisher.subscribers == 1)
        assert subscriber.recv(2.0) is not None


def test_localhost_may_be_bound_by_name(publishing):
    assert publishing("tcp://localhost:*").address.startswith("tcp://127.0.0.1:")


def test_stream_profile_delivers_everything_in_order(publishing):
    publisher = publishing(queue=1000)
    n = 300
    with Subscriber(publisher.address, profile="stream") as subscriber:
        publish_until(publisher, lambda: publisher.subscribers == 1, make_result(window_seq=0))
        for k in range(1, n + 1):
            publisher.publish(make_result(window_seq=k))
        received = [subscriber.recv(2.0).window_seq]
        while received[-1] < n:
            received.append(subscriber.recv(2.0).window_seq)
    assert received[-n:] == list(range(1, n + 1))
    assert subscriber.missed == 0


def test_ten_subscribers_do_not_disturb_each_other(publishing):
    """One reads at 2 Hz what is published at 100 Hz, two never read; the others see everything."""
    publisher = publishing()
    with contextlib.ExitStack() as stack:

        def connect(profile):
            return stack.enter_context(Subscriber(publisher.address, profile=profile))

        slow = connect("latest")
        for profile in ("latest", "stream"):
            connect(profile)
        readers = [connect(p) for p in ["stream"] * 4 + ["latest"] * 3]
        stop = threading.Event()
        threads = [threading.Thread(target=_read, args=(r, stop)) for r in readers]
        with publishing_live(publisher):
            for thread in threads:
                thread.start()
            ages = []
            for _ in range(6):
                time.sleep(0.5)
                ages.append(age_ms(slow.recv(2.0)))
            assert publisher.subscribers == 10
            stop.set()
            for thread in threads:
                thread.join()
    # A socket that queues would be 3 s behind by now. One period is 10 ms; the rest is load.
    assert max(ages) < 250
    assert slow.missed > 100
    for reader in readers[:4]:
        assert reader.received > 150
        assert reader.missed == 0
    assert all(reader.malformed == 0 for reader in (slow, *readers))


def _read(subscriber, stop):
    while not stop.is_set():
        subscriber.recv(0.1)


def test_what_a_full_queue_drops_is_seen_as_missed(publishing):
    publisher = publishing(queue=1, encoding=Encoding.MONO8)
    big = make_result(np.ones((1024, 1024), np.uint8), confidence=None)
    with Subscriber(publisher.address, profile="stream", queue=1) as subscriber:
        publish_until(publisher, lambda: publisher.subscribers == 1, replace(big, window_seq=0))
        start = time.monotonic()
        for k in range(1, 100):
            publisher.publish(replace(big, window_seq=k))
        assert time.monotonic() - start < 20, "a reader that does not read must not hold up the publisher"
        newest = 0
        while newest < 100:
            assert time.monotonic() - start < 30
            publisher.publish(replace(big, window_seq=100))
            if (result := subscriber.recv(0.05)) is not None:
                newest = result.window_seq
        assert subscriber.missed > 0
        assert subscriber.malformed == 0


@both_profiles
def test_streams_with_a_common_prefix_stay_apart(publishing, profile):
    publisher = publishing(stream="cam10")
    with (
        Subscriber(publisher.address, "cam10", profile) as wanted,
        Subscriber(publisher.address, "cam1", profile) as other,
    ):
        publish_until(publisher, lambda: publisher.subscribers == 1, make_result(stream="cam10"))
        assert wanted.recv(2.0).stream == "cam10"
        assert other.recv(0.2) is None
        assert other.malformed == 0


def test_subscribers_are_counted_as_they_come_and_go(publishing):
    publisher = publishing()
    publisher.publish(make_result())
    assert publisher.subscribers == 0
    a = Subscriber(publisher.address)
    b = Subscriber(publisher.address)
    c = Subscriber(publisher.address, profile="stream")
    publish_until(publisher, lambda: publisher.subscribers == 3)
    a.close()
    publish_until(publisher, lambda: publisher.subscribers == 2)
    b.close()
    c.close()
    publish_until(publisher, lambda: publisher.subscribers == 0)


def test_nothing_is_packed_while_nobody_listens(publishing):
    publisher = publishing()
    unsendable = make_result(sounding_score=2.0)
    publisher.publish(unsendable)
    assert publisher._ledger.counts() == {}


def test_rogue_subscriptions_do_not_count(publishing):
    publisher = publishing()
    rogue = zmq.Context.instance().socket(zmq.XSUB)
    rogue.connect(publisher.address)
    for k in range(500):
        rogue.send(b"\1" + f"latest/other{k}".encode())
    rogue.send(b"hello")
    rogue.send(b"\1latest/")
    publish_until(publisher, lambda: publisher.subscribers == 1)
    rogue.close(linger=0)


def test_a_result_that_cannot_be_sent_is_counted_not_raised():
    ledger = Ledger()
    publisher = Publisher(PublishConfig(address=ANY_PORT), "cam0", ledger)
    with publisher, Subscriber(publisher.address) as subscriber:
        publish_until(publisher, lambda: publisher.subscribers == 1)
        publisher.publish(make_result(sounding_score=float("nan"), stamp_ns=77))
        publisher.publish(make_result(window_seq=18))
        end_s = time.monotonic() + 5
        while subscriber.recv(0.5).window_seq != 18:
            assert time.monotonic() < end_s
    assert ledger.counts() == {Event.PUBLISH_DROP: 1}
    assert ledger.recent()[0].stamp_ns == 77
    assert "sounding_score" in ledger.recent()[0].detail


def test_a_result_of_another_stream_is_a_mistake_of_the_caller(publishing):
    with pytest.raises(ValueError, match="cam9"):
        publishing().publish(make_result(stream="cam9"))


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_a_closed_address_can_be_bound_again_at_once(tmp_path, transport):
    address = ANY_PORT if transport == "tcp" else f"ipc://{tmp_path}/s"
    for _ in range(20):
        publisher = Publisher(PublishConfig(address=address), "cam0")
        address = publisher.address
        publisher.publish(make_result())
        publisher.close()
        publisher.close()


def test_a_port_in_use_is_named(publishing):
    address = publishing().address
    with pytest.raises(PublishError, match=f"{address} is in use.*choose another port"):
        publishing(address)


def test_a_port_in_use_by_something_else_is_named(publishing):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(PublishError, match="in use"):
            publishing(f"tcp://127.0.0.1:{other.getsockname()[1]}")
