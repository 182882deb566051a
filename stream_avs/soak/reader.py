"""The subscriber that watches: how old masks are when they arrive, and for how long none come."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from types import TracebackType

from stream_avs.publish.subscriber import Subscriber, age_ms


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """Since the last look: ages of the masks, and the longest time between two of them."""

    ages_ms: list[float]
    silence_s: float


class Reader:
    """Reads masks on a thread of its own; a context manager.

    Args:
        address: the publisher's.
        stream: its name.
    """

    def __init__(self, address: str, stream: str = "cam0") -> None:
        self._address = address
        self._stream = stream
        self._lock = threading.Lock()
        self._ages_ms: list[float] = []
        self._silence_s = 0.0
        self._last_s: float | None = None
        self._stop = threading.Event()
        self.began = threading.Event()
        """Set with the first mask."""
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)
        self._thread.start()

    def take(self) -> Heard:
        """Return what was heard since the last call."""
        with self._lock:
            going_on_s = 0.0 if self._last_s is None else time.monotonic() - self._last_s
            heard = Heard(ages_ms=self._ages_ms, silence_s=max(self._silence_s, going_on_s))
            self._ages_ms, self._silence_s = [], 0.0
        return heard

    def close(self) -> None:
        """End the thread. May be called twice."""
        self._stop.set()
        self._thread.join()

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        with Subscriber(self._address, self._stream) as subscriber:
            while not self._stop.is_set():
                result = subscriber.recv(0.2)
                if result is None:
                    continue
                age, now_s = age_ms(result, same_host=True), time.monotonic()
                with self._lock:
                    self._ages_ms.append(age)
                    if self._last_s is not None:
                        self._silence_s = max(self._silence_s, now_s - self._last_s)
                    self._last_s = now_s
                self.began.set()
