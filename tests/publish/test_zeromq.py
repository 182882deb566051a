"""Publisher and subscriber over real sockets."""

import contextlib
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import zmq
from wire_results import assert_same, make_result

import stream_avs
from stream_avs.clock import monotonic_ns, unix_offset_ns
from stream_avs.config import Encoding, PublishConfig
from stream_avs.errors import PublishError, WireError
from stream_avs.ledger import Ledger
from stream_avs.publish import wire
from stream_avs.publish.limits import MAX_PAYLOADS
from stream_avs.publish.subscriber import Subscriber, age_ms
from stream_avs.publish.zeromq import Publisher
from stream_avs.types import Event

ANY_PORT = "tcp://127.0.0.1:*"
both_profiles = pytest.mark.parametrize("profile", ["latest", "stream"])


@pytest.fixture
def publishing():
    """Open publishers that are closed at the end."""
    with contextlib.ExitStack() as stack:

        def start(address=ANY_PORT, stream="cam0", **settings):
            return stack.enter_context(Publisher(PublishConfig(address=address, **settings), stream))

        yield start


def publish_until(publisher, condition, result=None, timeout_s=5.0):
    """Publish the same result until `condition()`, e.g. until a subscription has arrived."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "waited too long"
        publisher.publish(result or make_result())
        time.sleep(0.01)


@contextlib.contextmanager
def publishing_live(publisher, rate_hz=100.0):
    """Publish fresh results with true stamps on a thread until the block ends."""
    stop = threading.Event()

    def work():
        k = 0
        while not stop.wait(1 / rate_hz):
            now = monotonic_ns()
            publisher.publish(
                make_result(window_seq=k, stamp_ns=now, publish_ns=now, unix_offset_ns=unix_offset_ns())
            )
            k += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


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


@both_profiles
def test_a_publisher_that_comes_back_is_found_again(publishing, profile):
    first = publishing()
    address = first.address
    with Subscriber(address, profile=profile) as subscriber:
        publish_until(first, lambda: first.subscribers == 1, make_result(window_seq=900))
        assert subscriber.recv(2.0).window_seq == 900
        while subscriber.recv(0.1) is not None:
            pass
        first.close()
        assert subscriber.recv(0.1) is None
        second = publishing(address)
        heard = None
        end_s = time.monotonic() + 5
        while heard is None:
            assert time.monotonic() < end_s
            second.publish(make_result(window_seq=0))
            heard = subscriber.recv(0.02)
        assert heard.window_seq == 0
        assert (subscriber.restarts, subscriber.missed) == (1, 0)


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


def raw_publisher():
    raw = zmq.Context.instance().socket(zmq.XPUB)
    raw.linger = 0
    return raw, f"tcp://127.0.0.1:{raw.bind_to_random_port('tcp://127.0.0.1')}"


TOPIC = b"latest/cam0\0"
GOOD = wire.to_packed(wire.encode(make_result()))


@pytest.mark.parametrize(
    "bad", [TOPIC, TOPIC + b"\xff" * 40, GOOD[:-3], GOOD + b"x"], ids=["topic only", "noise", "cut", "longer"]
)
def test_malformed_messages_are_counted_and_skipped(bad):
    raw, address = raw_publisher()
    errors = []
    with raw, Subscriber(address, on_malformed=errors.append) as subscriber:
        raw.recv()
        raw.send(bad)
        assert subscriber.recv(0.2) is None
        raw.send(GOOD)
        assert_same(subscriber.recv(2.0), make_result())
        assert subscriber.malformed == 1
        assert isinstance(errors[0], WireError)


@pytest.mark.parametrize("frames", [[TOPIC, b"second"], [TOPIC] * 20, [GOOD, GOOD]])
def test_several_frames_where_one_is_expected_do_no_harm(frames):
    raw, address = raw_publisher()
    with raw, Subscriber(address) as subscriber:
        raw.recv()
        raw.send_multipart(frames)
        subscriber.recv(0.2)
        raw.send(GOOD)
        assert_same(subscriber.recv(2.0), make_result())


@pytest.mark.parametrize(
    "bad",
    [
        [b"stream/cam0\0"],
        [b"stream/cam0\0", b"x", b"y"],
        [b"stream/cam0\0" + GOOD],
        [b"stream/cam0\0"] + [b"x"] * (MAX_PAYLOADS + 40),
    ],
    ids=["topic only", "noise", "packed", "many frames"],
)
def test_malformed_multipart_is_counted_and_skipped(bad):
    raw, address = raw_publisher()
    good = wire.to_parts(wire.encode(make_result()))
    with raw, Subscriber(address, profile="stream") as subscriber:
        raw.recv()
        raw.send_multipart(bad)
        raw.send_multipart(good)
        assert_same(subscriber.recv(2.0), make_result())
        assert subscriber.malformed == 1


def test_only_malformed_messages_end_in_an_error_that_says_so():
    raw, address = raw_publisher()
    with raw, Subscriber(address, timeout_s=0.5) as subscriber:
        raw.recv()
        raw.send(TOPIC + b"nonsense")
        with pytest.raises(PublishError, match=r"1 messages.*could not be read"):
            next(subscriber)


def test_a_dead_address_ends_in_an_error_that_says_what_to_start():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    start = time.monotonic()
    with pytest.raises(
        PublishError, match=rf"nothing heard from {address}.*stream-avs run --publish.address"
    ):
        next(stream_avs.subscribe(address, timeout_s=0.3))
    assert 0.25 < time.monotonic() - start < 3


def test_recv_gives_none_when_the_time_is_up(publishing):
    with Subscriber(publishing().address) as subscriber:
        assert subscriber.recv(0.05) is None


def test_subscribe_iterates_and_closes(publishing):
    publisher = publishing()
    with publishing_live(publisher):
        stream = stream_avs.subscribe(publisher.address)
        seen = [next(stream).window_seq for _ in range(5)]
        assert seen == sorted(seen)
        stream.close()
        end_s = time.monotonic() + 5
        while publisher.subscribers:
            assert time.monotonic() < end_s
            time.sleep(0.01)


def test_age_counts_from_capture_on_this_host_and_across_hosts():
    boot_difference_ns = 5_000_000_000_000
    here = make_result(stamp_ns=monotonic_ns() - 40_000_000, unix_offset_ns=unix_offset_ns())
    there = replace(
        here,
        stamp_ns=here.stamp_ns + boot_difference_ns,
        unix_offset_ns=here.unix_offset_ns - boot_difference_ns,
    )
    assert 40 <= age_ms(here, same_host=True) < 200
    assert 39 <= age_ms(here) < 200
    assert 39 <= age_ms(there) < 200


def test_receiving_needs_no_network_camera_or_drawing_packages():
    code = """
import sys
for name in ("torch", "cv2", "av", "sounddevice", "scipy", "yaml", "rich"):
    sys.modules[name] = None
import stream_avs
from stream_avs.publish.zeromq import Publisher
from stream_avs.publish import wire
stream_avs.subscribe("tcp://127.0.0.1:9")
import stream_avs.commands.subscribe
try:
    import stream_avs.publish.draw
except stream_avs.StreamAvsError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert "OpenCV (cv2) is not installed. Run: pip install 'stream-avs[live]'" in done.stdout
