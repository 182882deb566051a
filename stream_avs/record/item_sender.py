"""Items to a viewer, on a thread of its own, so that nobody waits for it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from stream_avs.errors import StreamAvsError
from stream_avs.ledger import Ledger
from stream_avs.record.items import Item
from stream_avs.types import Event

MAX_WAITING = 64


class ItemSender:
    """Calls `send` with each item put in, in order; what is too much is dropped, oldest first.

    Args:
        name: of the thread, and in the ledger.
        send: packs and sends one item.
        ledger: counts items that were dropped or could not be sent.
    """

    def __init__(self, name: str, send: Callable[[Item], None], ledger: Ledger) -> None:
        self._name = name
        self._send = send
        self._ledger = ledger
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Items not sent yet."""
        return len(self._items)

    def put(self, item: Item) -> None:
        """Queue one item, whose arrays will not change; returns at once."""
        with self._changed:
            self._items.append(item)
            if len(self._items) > MAX_WAITING:
                dropped = self._items.popleft()
                self._ledger.record(Event.PUBLISH_DROP, dropped.log_ns, f"{self._name} cannot keep up")
            self._changed.notify()

    def close(self) -> None:
        """Send what waits, and end. May be called twice."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._closing)
                if not self._items:
                    return
                item = self._items.popleft()
            try:
                self._send(item)
            except (ValueError, StreamAvsError) as error:
                self._ledger.record(Event.PUBLISH_DROP, item.log_ns, f"{self._name}: {error}")
