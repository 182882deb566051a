"""Publishers for the tests of the sockets: one that publishes, and a bare socket that sends anything."""

from __future__ import annotations

import contextlib
import threading
import time

import zmq
from wire_results import make_result

from stream_avs.clock import monotonic_ns, unix_offset_ns
from stream_avs.config import PublishConfig
from stream_avs.publish.zeromq import Publisher

ANY_PORT = "tcp://127.0.0.1:*"


def open_publisher(address=ANY_PORT, stream="cam0", **settings):
    """A publisher to be closed by a `with` block; `settings` are those of PublishConfig."""
    return Publisher(PublishConfig(address=address, **settings), stream)


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


def raw_publisher():
    """A socket that sends whatever bytes it is given, and its address."""
    raw = zmq.Context.instance().socket(zmq.XPUB)
    raw.linger = 0
    return raw, f"tcp://127.0.0.1:{raw.bind_to_random_port('tcp://127.0.0.1')}"
