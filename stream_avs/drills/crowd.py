"""Many subscribers in a process of their own: `python -m stream_avs.drills.crowd ADDRESS COUNT SECONDS`.

Prints one line of JSON when all are connected, and one at the end.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping

import numpy as np
import zmq

from stream_avs.publish import wire
from stream_avs.publish.subscriber import Subscriber, age_ms
from stream_avs.publish.wire import Profile


def main(address: str, count: int, seconds: float) -> None:
    """Read with `count` sockets; the first decodes what it reads and tells the age."""
    context = zmq.Context()
    poller = zmq.Poller()
    got: dict[zmq.Socket[bytes], int] = {}
    for _ in range(count - 1):
        socket: zmq.Socket[bytes] = context.socket(zmq.SUB)
        socket.setsockopt(zmq.CONFLATE, 1)
        socket.setsockopt(zmq.SUBSCRIBE, wire.topic(Profile.LATEST, "cam0"))
        socket.connect(address)
        poller.register(socket, zmq.POLLIN)
        got[socket] = 0
    ages: list[float] = []
    with Subscriber(address) as subscriber:
        _say({"sockets": count})
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            for ready, _ in poller.poll(0) if got else ():
                ready.recv()
                got[ready] += 1
            result = subscriber.recv(0.005)
            if result is not None:
                ages.append(age_ms(result, same_host=True))
    context.destroy(linger=0)
    report = {
        "received": sum(got.values()) + len(ages),
        "without_any": sum(n == 0 for n in got.values()) + (not ages),
        "age_p50_ms": float(np.percentile(ages, 50)) if ages else None,
        "age_p99_ms": float(np.percentile(ages, 99)) if ages else None,
    }
    _say(report)


def _say(line: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
