"""Who wants what of an XPUB socket, read from the messages subscribers send. Pure.

ZeroMQ keeps every subscription it is sent, for topics that do not exist too, at some 30 bytes of memory
per byte. A subscriber that floods could fill the memory, so foreign ones are counted, and the owner of
the socket begins anew when they are too many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

MAX_FOREIGN = 1000
"""Subscriptions to other topics that are put up with: of honest readers there is one per connection."""
MAX_BYTES = 288
"""One subscription; the longest topic has 264 bytes."""
MAX_CURVE_BYTES = 512
"""The same, and a message of CURVE's handshake."""
QUEUE = 100
"""Subscriptions of one connection that wait to be read."""
PER_READ = 1000
"""Subscriptions read at once."""


class Subscriptions:
    """Counts subscriptions that reach our topics, and those that reach none.

    Args:
        topics: all that is published.
    """

    def __init__(self, topics: Iterable[bytes]) -> None:
        self._topics = tuple(topics)
        self._wanted: Counter[bytes] = Counter()
        self._foreign = 0

    def take(self, message: bytes) -> None:
        """Note one message: 1 or 0, for its end, and the prefix asked for. Anything else is ignored."""
        step = {b"\1": 1, b"\0": -1}.get(message[:1], 0)
        prefix = message[1:]
        # Only prefixes of our own topics are remembered, so nobody can make us remember much.
        if not any(topic.startswith(prefix) for topic in self._topics):
            self._foreign = max(0, self._foreign + step)
            return
        self._wanted[prefix] += step
        if self._wanted[prefix] <= 0:
            del self._wanted[prefix]

    def wants(self, topic: bytes) -> bool:
        """True if somebody subscribed to it."""
        return any(topic.startswith(prefix) for prefix in self._wanted)

    def count(self, topic: bytes | None = None) -> int:
        """Subscriptions that reach `topic`, or any of ours."""
        return sum(n for prefix, n in self._wanted.items() if topic is None or topic.startswith(prefix))

    @property
    def flooded(self) -> bool:
        """True if ZeroMQ has been made to keep more than honest readers would."""
        return self._foreign > MAX_FOREIGN

    def clear(self) -> None:
        """All connections have ended."""
        self._wanted.clear()
        self._foreign = 0
