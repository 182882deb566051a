"""What a subscriber makes of publishers that come and go, of nonsense and silence, and of a result's age."""

import socket
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from publishers import open_publisher, publish_until, publishing_live, raw_publisher
from wire_results import assert_same, make_result

import stream_avs
from stream_avs.clock import monotonic_ns, unix_offset_ns
from stream_avs.errors import PublishError, WireError
from stream_avs.publish import wire
from stream_avs.publish.limits import MAX_PAYLOADS
from stream_avs.publish.subscriber import Subscriber, age_ms

TOPIC = b"latest/cam0\0"
GOOD = wire.to_packed(wire.encode(make_result()))


@pytest.mark.parametrize("profile", ["latest", "stream"])
def test_a_publisher_that_comes_back_is_found_again(profile):
    with open_publisher() as first, Subscriber(first.address, profile=profile) as subscriber:
        publish_until(first, lambda: first.subscribers == 1, make_result(window_seq=900))
        assert subscriber.recv(2.0).window_seq == 900
        while subscriber.recv(0.1) is not None:
            pass
        first.close()
        assert subscriber.recv(0.1) is None
        with open_publisher(first.address) as second:
            heard = None
            end_s = time.monotonic() + 5
            while heard is None:
                assert time.monotonic() < end_s
                second.publish(make_result(window_seq=0))
                heard = subscriber.recv(0.02)
        assert heard.window_seq == 0
        assert (subscriber.restarts, subscriber.missed) == (1, 0)


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


def test_recv_gives_none_when_the_time_is_up():
    with open_publisher() as publisher, Subscriber(publisher.address) as subscriber:
        assert subscriber.recv(0.05) is None


def test_subscribe_iterates_and_closes():
    with open_publisher() as publisher:
        with publishing_live(publisher):
            stream = stream_avs.subscribe(publisher.address)
            seen = [next(stream).window_seq for _ in range(5)]
            assert seen == sorted(seen)
            stream.close()
        publish_until(publisher, lambda: publisher.subscribers == 0)


def test_a_reader_that_pauses_over_a_full_queue_reads_on():
    """Longer than ZeroMQ's heartbeats would allow; in a process of its own, which ZeroMQ would end."""
    code = """
import sys, time
from stream_avs.publish.subscriber import Subscriber
with Subscriber(sys.argv[1], profile="stream", queue=2) as subscriber:
    subscriber.recv(5.0)
    time.sleep(5)
    for _ in range(20):
        print(subscriber.recv(5.0).window_seq)
"""
    with open_publisher() as publisher, publishing_live(publisher):
        done = subprocess.run(
            [sys.executable, "-c", code, publisher.address], capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 0, done.stderr
    seqs = [int(line) for line in done.stdout.split()]
    assert seqs == sorted(set(seqs))
    assert len(seqs) == 20


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
