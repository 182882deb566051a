"""Let calls from many threads run together: whoever comes while a batch runs goes with the next.

No timer and no thread of its own: the first caller that finds nobody at work takes all who wait,
up to the limit, and works for them. One caller alone never waits.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class _Call(Generic[Asked, Answer]):
    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.answer: Answer | None = None
        self.error: BaseException | None = None
        self.done = False


class Combiner(Generic[Asked, Answer]):
    """Turns calls into batches.

    Args:
        run: answers a batch, in order; never called by two threads at once.
        limit: most calls in one batch.
    """

    def __init__(self, run: Callable[[Sequence[Asked]], Sequence[Answer]], limit: int) -> None:
        self._run = run
        self._limit = limit
        self._changed = threading.Condition()
        self._waiting: deque[_Call[Asked, Answer]] = deque()
        self._busy = False

    def call(self, asked: Asked) -> Answer:
        """Answer one call, together with others that wait.

        Raises:
            BaseException: what `run` raised, to every caller of that batch.
        """
        mine: _Call[Asked, Answer] = _Call(asked)
        with self._changed:
            self._waiting.append(mine)
            self._changed.wait_for(lambda: mine.done or not self._busy)
            at_work = not mine.done
            self._busy = self._busy or at_work
        if at_work:
            while not mine.done:  # more may wait in front than one batch takes
                self._work()
            self._leave()
        if mine.error is not None:
            raise mine.error
        return mine.answer  # type: ignore[return-value]

    def alone(self) -> _Alone:
        """A `with` block during which no batch runs."""
        return _Alone(self)

    def _work(self) -> None:
        with self._changed:
            batch = [self._waiting.popleft() for _ in range(min(self._limit, len(self._waiting)))]
        try:
            for call, answer in zip(batch, self._run([c.asked for c in batch]), strict=True):
                call.answer = answer
        except BaseException as error:
            for call in batch:
                call.error = error
        with self._changed:
            for call in batch:
                call.done = True
            self._changed.notify_all()

    def _enter(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._busy)
            self._busy = True

    def _leave(self) -> None:
        with self._changed:
            self._busy = False
            self._changed.notify_all()


class _Alone:
    def __init__(self, combiner: Combiner[Asked, Answer]) -> None:
        self._combiner = combiner

    def __enter__(self) -> None:
        self._combiner._enter()

    def __exit__(self, *_: object) -> None:
        self._combiner._leave()
