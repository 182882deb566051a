"""The session a drill is done to: a real pipeline, publisher and subscriber, all of them watched."""

from __future__ import annotations

import gc
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from stream_avs.capture.base import Source
from stream_avs.capture.tap import Tap
from stream_avs.clock import monotonic_ns
from stream_avs.config import MediaConfig, PublishConfig, RunConfig
from stream_avs.drills.report import Check, Times
from stream_avs.drills.truth import Truth, TruthModel
from stream_avs.engine.statistics import Snapshot
from stream_avs.ledger import Ledger
from stream_avs.models.base import AnyModel
from stream_avs.observe.process import usage_of
from stream_avs.pipeline import Pipeline, ResultListener
from stream_avs.publish.subscriber import Subscriber
from stream_avs.publish.zeromq import Publisher
from stream_avs.types import NS_PER_MS, NS_PER_S, MaskResult, ResultState

RIGHT = 0.95
RIGHT_DECODED = 0.75
"""Agreement with the truth from which masks are right; pictures from a codec have soft edges."""

_POLL_S = 0.02
_KEPT = 20_000
_STOP_S = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """A result, and when the subscriber had it (monotonic)."""

    result: MaskResult
    at_ns: int

    @property
    def age_ms(self) -> float:
        """From capture to the subscriber."""
        return (self.at_ns - self.result.stamp_ns) / NS_PER_MS


class Rig:
    """Runs a session and remembers what a subscriber saw; a context manager.

    Args:
        source: what is shown and heard.
        model: shared by nobody.
        tap, listeners, load: see `Pipeline`.
        ledger: shared with the listeners.
        media: settings of the source.
        right: agreement from which masks are right.

    Attributes:
        truth: set it before masks are compared.
    """

    def __init__(
        self,
        source: Source,
        *,
        model: AnyModel | None = None,
        tap: Tap | None = None,
        listeners: tuple[ResultListener, ...] = (),
        load: Callable[[], tuple[AnyModel, AnyModel]] | None = None,
        ledger: Ledger | None = None,
        media: MediaConfig | None = None,
        right: float = RIGHT,
    ) -> None:
        self._threads_before = threading.active_count()
        publish = PublishConfig(address="tcp://127.0.0.1:*")
        config = RunConfig(source="drill", publish=publish, media=media or MediaConfig(), status=False)
        self.ledger = ledger if ledger is not None else Ledger()
        self.truth: Truth | None = None
        self.right = right
        self.publisher = Publisher(publish, config.name, self.ledger)
        listeners = (self.publisher.publish, *listeners)
        self.pipeline = Pipeline(
            config, source, model or TruthModel(), listeners, tap, self.ledger, load=load
        )  # fmt: skip
        self._changed = threading.Condition()
        self._seen: deque[Seen] = deque(maxlen=_KEPT)
        self.shown: list[str] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._read, name="drill reader", daemon=True),
            threading.Thread(target=self._watch, name="drill watch", daemon=True),
        ]

    def __enter__(self) -> Rig:
        for thread in self._threads:
            thread.start()
        self.pipeline.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> list[Check]:
        """Stop everything; checks that it stops in time and leaves nothing behind. May be called twice."""
        begun_s = time.monotonic()
        self.pipeline.stop()
        self._stop.set()
        for thread in self._threads:
            thread.join(_STOP_S)
        self.publisher.close()
        took_s = time.monotonic() - begun_s
        left = self._settled(lambda: threading.active_count() - self._threads_before, 0)
        return [
            Check(name="stops", found=f"{took_s:.2f} s", passed=took_s <= _STOP_S),
            Check(name="leaves no thread behind", found=str(max(0, left)), passed=left <= 0),
        ]

    def settle(self, times: Times) -> None:
        """Run undisturbed until masks are right, and for `settle_s`."""
        self.wait_right(monotonic_ns(), times.patience_s)
        time.sleep(times.settle_s)

    def wait(self, wanted: Callable[[Seen], bool], since_ns: int, timeout_s: float) -> Seen | None:
        """The first result seen after `since_ns` that is wanted; None if none comes in time."""
        end_s = time.monotonic() + timeout_s
        checked_ns = since_ns
        while True:
            for seen in self.seen(checked_ns):
                checked_ns = seen.at_ns
                if wanted(seen):
                    return seen
            with self._changed:
                if not self._changed.wait(max(0.0, end_s - time.monotonic())):
                    return None

    def wait_right(self, since_ns: int, timeout_s: float) -> float | None:
        """Seconds from `since_ns` to the first right mask of a frame captured since; None if none comes."""
        seen = self.wait(
            lambda seen: seen.result.stamp_ns > since_ns and self.is_right(seen.result), since_ns, timeout_s
        )
        return None if seen is None else (seen.at_ns - since_ns) / NS_PER_S

    def is_right(self, result: MaskResult) -> bool:
        """Whether a result says what is true, now."""
        if result.state not in (ResultState.OK, ResultState.RESET) or self.truth is None:
            return False
        agreement = self.truth.agreement([result])
        return agreement is not None and agreement >= self.right

    def seen(self, since_ns: int) -> list[Seen]:
        """What the subscriber saw after `since_ns`."""
        with self._changed:
            return [seen for seen in self._seen if seen.at_ns > since_ns]

    def silence_s(self, since_ns: int) -> float:
        """The longest time without a mask, from `since_ns` to now."""
        at = [since_ns, *(seen.at_ns for seen in self.seen(since_ns)), monotonic_ns()]
        return float(np.diff(at).max() / NS_PER_S)

    def age_p99_ms(self, since_ns: int, until_ns: int | None = None) -> float:
        """Age of the masks seen, from capture to the subscriber; NaN without any."""
        ages = [s.age_ms for s in self.seen(since_ns) if until_ns is None or s.at_ns <= until_ns]
        return float(np.percentile(ages, 99)) if ages else float("nan")

    def right_after(self, since_ns: int) -> Check:
        """Check that the masks seen after `since_ns` are right, and that something sounds in some."""
        results = [seen.result for seen in self.seen(since_ns)]
        agreement = self.truth.agreement(results) if self.truth is not None else None
        sounding = sum(1 for result in results if result.sounding)
        found = "none" if agreement is None else f"J {agreement:.3f}, {sounding} of {len(results)} sound"
        good = agreement is not None and agreement >= self.right and sounding > 0
        return Check(name="next masks are right", found=found, passed=good)

    def usage(self) -> tuple[int, int]:
        """Open files and threads of this process, without those that wait for the garbage collector."""
        gc.collect()
        usage = usage_of()
        return usage.files, usage.threads

    def no_growth(self, before: tuple[int, int]) -> list[Check]:
        """Check that files and threads are not more than `before`; those on their way out may go."""
        checks = []
        for i, name in enumerate(("open files", "threads")):
            now = self._settled(lambda i=i: self.usage()[i], before[i])  # type: ignore[misc]
            checks.append(Check(name=name, found=f"{before[i]} to {now}", passed=now <= before[i]))
        return checks

    def _settled(self, value: Callable[[], int], most: int) -> int:
        """The value once it is at most `most`, or after some seconds."""
        end_s = time.monotonic() + 3.0
        while (now := value()) > most and time.monotonic() < end_s:
            time.sleep(0.05)
        return now

    def _read(self) -> None:
        with Subscriber(self.publisher.address, profile="stream") as subscriber:
            while not self._stop.is_set():
                result = subscriber.recv(0.1)
                if result is not None:
                    with self._changed:
                        self._seen.append(Seen(result=result, at_ns=monotonic_ns()))
                        self._changed.notify_all()

    def _watch(self) -> None:
        before = ""
        while not self._stop.wait(_POLL_S):
            now = describe(self.pipeline.snapshot())
            if now != before:
                self.shown.append(now)
                before = now


def describe(snapshot: Snapshot) -> str:
    """What a session says of itself, without reasons, in which there are figures that change."""
    words = [snapshot.source.state.value]
    if snapshot.rung != "full":
        words.append(f"overload: {snapshot.rung}")
    if snapshot.state not in (None, ResultState.OK):
        words.append(f"masks: {snapshot.state}")
    return ", ".join(words)
