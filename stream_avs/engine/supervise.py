"""Keeps one stream's masks coming: replaces a worker that died or hangs.

A worker that died of something else than its model is followed by one with a fresh session, within
half a second; one whose model is poisoned, fails again and again or hangs, by one with a fresh engine,
which takes as long as loading. A thread that hangs is left behind: its turn is revoked first, so
nothing it still does counts.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from stream_avs.clock import MonotonicClock, monotonic_ns
from stream_avs.config import SuperviseConfig
from stream_avs.engine.intake import Intake
from stream_avs.engine.load import Models
from stream_avs.engine.session import Session
from stream_avs.engine.turn import Phase
from stream_avs.engine.warm_up import warm_up
from stream_avs.engine.worker import IDLE_WAIT_S, Worker
from stream_avs.errors import EngineError, StreamAvsError
from stream_avs.ledger import Ledger
from stream_avs.timing.backoff import Backoff
from stream_avs.types import NS_PER_S, Event

POLL_S = 0.1
LEAVE_S = 1.0
"""So long a worker that is replaced may take to end by itself; one that takes longer hangs."""
HAND_ON_S = 5.0
"""So long a result that is being handed on is waited for at the end."""
PATIENCE = 6
"""A result may take so many times `hang_s` to be handed on: a disk is slower than a network."""
MOST_LEFT = 3
"""With so many threads left behind in native code, only a new process helps."""

Hire = Callable[[Session, Models], Worker]
"""Makes a worker, not started yet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """Why a worker is replaced; `rebuild`: its engine is not to be trusted."""

    text: str
    rebuild: bool


class Supervisor:
    """Runs workers, one after the other, until the stream is over or restarts do not help.

    Args:
        hire: makes a worker.
        session: of the first worker.
        models: of the first worker.
        load: builds the models anew; None goes on with the same from a fresh session.
        config: when a step hangs, and how often to restart.
        intake: let go of when all is over.
        ledger: counts RESTART and frames lost with a worker.
        clock: returns monotonic nanoseconds.

    Attributes:
        done: set when no more results will come.
        error: why, if that was not intended.
        restarts: how many workers were replaced.
    """

    def __init__(
        self,
        hire: Hire,
        session: Session,
        models: Models,
        load: Callable[[], Models] | None,
        config: SuperviseConfig,
        intake: Intake,
        ledger: Ledger,
        clock: MonotonicClock = monotonic_ns,
    ) -> None:
        self._hire = hire
        self._models = models
        self._load = load
        self._config = config
        self._intake = intake
        self._ledger = ledger
        self._clock = clock
        self._worker = hire(session, models)
        self._stopping = threading.Event()
        self._asked: deque[Cause] = deque(maxlen=1)
        self._recent: deque[float] = deque()
        self._backoff = Backoff(config)
        self._moves = 0
        self._left: list[Worker] = []
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self.done = threading.Event()
        self.error: BaseException | None = None
        self.restarts = 0

    def start(self) -> None:
        """Begin to make masks."""
        self._worker.start()
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """End after the step in progress; one that takes longer than `timeout_s` is left behind."""
        self._stopping.set()
        if not self._worker.stop(timeout_s):
            phase = self._take_turn("still in the model at the end")
            if phase is Phase.HANDING_ON:  # whoever listens must not be closed under it
                self._worker.stop(HAND_ON_S)
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def restart(self, reason: str = "request", *, rebuild: bool = False) -> None:
        """Replace the worker soon; may be called from any thread.

        What it has in hand is lost and counted, as when it dies: this is also how a drill kills it.

        Args:
            reason: kept in the ledger.
            rebuild: replace its engine too.
        """
        self._asked.append(Cause(text=reason, rebuild=rebuild))

    @property
    def session(self) -> Session:
        """Of the present worker."""
        return self._worker.session

    @property
    def rung(self) -> str:
        """See `Worker.rung`."""
        return self._worker.rung

    @property
    def restarting(self) -> bool:
        """Whether the worker is lost, and another one not at work yet."""
        return self._worker.turn.phase is Phase.REVOKED and not self.done.is_set()

    @property
    def moves(self) -> int:
        """Grows while worker or supervisor do anything, resting included."""
        return self._moves + self._worker.turn.moves

    def _run(self) -> None:
        try:
            while (cause := self._watch()) is not None:
                self._replace(cause)
        except BaseException as error:  # shown by whoever waits for `done`
            self.error = error
        finally:
            self._intake.stop()  # nobody will make room any more: let a waiting source go
            self.done.set()

    def _watch(self) -> Cause | None:
        """Wait until the worker must be replaced and say why; None at the end of the stream.

        Raises:
            BaseException: the worker ended with an error that no restart cures.
        """
        worker = self._worker
        moves, still_s, looked_s = worker.turn.moves, 0.0, time.monotonic()
        while not worker.done.wait(POLL_S):
            now_s = time.monotonic()
            # Only time in which this thread ran too: a suspended process does not hang.
            still_s += min(now_s - looked_s, 2 * POLL_S)
            looked_s = now_s
            if worker.turn.moves != moves:
                moves, still_s = worker.turn.moves, 0.0
            if self._stopping.is_set():
                if worker.turn.phase is Phase.REVOKED:
                    return None
            elif self._asked:
                return self._asked.pop()
            elif still_s > self._limit_s(phase := worker.turn.phase):
                return Cause(text=f"the worker hangs, {phase.value} for {still_s:.0f} s", rebuild=True)
        return self._cause_of(worker.error)

    def _limit_s(self, phase: Phase) -> float:
        """How long a worker may stay in a phase."""
        if phase is Phase.HANDING_ON:
            return PATIENCE * self._config.hang_s
        return max(self._config.hang_s, 4 * IDLE_WAIT_S) if phase is Phase.RESTING else self._config.hang_s

    def _cause_of(self, error: BaseException | None) -> Cause | None:
        if error is None or self._stopping.is_set():
            return None
        if isinstance(error, EngineError):
            return Cause(text=str(error), rebuild=True)
        if isinstance(error, StreamAvsError) or not isinstance(error, Exception):
            raise error
        return Cause(text=f"the worker died: {error!r}", rebuild=False)

    def _replace(self, cause: Cause) -> None:
        """Put a fresh worker in the place of the present one.

        Raises:
            EngineError: restarts have not helped.
        """
        old = self._worker
        phase = self._take_turn(cause.text)
        if not old.stop(LEAVE_S):
            self._leave(old, phase)
            cause = replace(cause, rebuild=True)  # two threads must not step one model
        models = self._fresh(cause)
        if models is None:
            return
        self._models = models
        worker = self._hire(old.session.successor(models[0], "restart"), models)
        self._moves += old.turn.moves + 1
        self._worker = worker
        self.restarts += 1
        self._ledger.record(Event.RESTART, self._clock(), cause.text)
        worker.start()
        if self._stopping.is_set():
            worker.stop(0)

    def _take_turn(self, why: str) -> Phase:
        """Revoke the present worker's turn, count the frame it had, and return what it did."""
        held = self._worker.turn.revoke()
        if held.phase is Phase.STEPPING:
            self._ledger.record(Event.WORKER_LOST, held.stamp_ns, why)
        return held.phase

    def _leave(self, worker: Worker, phase: Phase) -> None:
        """Leave behind a worker whose thread does not end.

        Raises:
            EngineError: it is in a listener, where a second worker must not follow (no socket would
                survive both), or too many hang already.
        """
        if phase is Phase.HANDING_ON and not worker.stop(LEAVE_S):
            raise EngineError(
                "the worker hangs while it hands on a result",
                "Something that listens to results hangs, e.g. a disk; start the process again",
            )
        self._left = [left for left in (*self._left, worker) if not left.done.is_set()]
        if len(self._left) >= MOST_LEFT:
            raise EngineError(
                f"{len(self._left)} steps hang in the model and cannot be ended",
                "Start the process again; try another --model.backend",
            )

    def _fresh(self, cause: Cause) -> Models | None:
        """The models to go on with, after the delay that is due; None when stopped meanwhile."""
        while True:
            self._spend(cause)
            self._moves += 1
            if not self._backoff.wait(self._stopping):
                return None
            if not cause.rebuild or self._load is None:
                return self._models
            try:
                models = self._load()
                for model in dict.fromkeys(models):
                    warm_up(model, steps=1)
                return models
            except Exception as error:
                cause = Cause(text=f"the engine cannot be built: {error}", rebuild=True)

    def _spend(self, cause: Cause) -> None:
        """Account for one more restart.

        Raises:
            EngineError: that would be too many.
        """
        config, now_s = self._config, self._clock() / NS_PER_S
        while self._recent and self._recent[0] < now_s - config.span_s:
            self._recent.popleft()
        if not self._recent:
            self._backoff.reset()
        if config.restarts and len(self._recent) >= config.restarts:
            raise EngineError(
                f"{len(self._recent)} restarts within {config.span_s:g} s did not help, last: {cause.text}",
                "Try another --model.preset or --model.backend; `stream-avs doctor` shows what is installed",
            )
        self._recent.append(now_s)
