"""The thread that makes masks: takes windows from the join, steps the session, hands results on."""

from __future__ import annotations

import threading
from collections.abc import Callable

from stream_avs.clock import MonotonicClock, monotonic_ns
from stream_avs.engine.intake import Intake
from stream_avs.engine.overload import Action, Ladder
from stream_avs.engine.session import Session
from stream_avs.engine.turn import Phase, Turn
from stream_avs.errors import EngineError, PoisonedError, StepError
from stream_avs.ledger import Ledger
from stream_avs.models.base import AnyModel
from stream_avs.timing.join import Join
from stream_avs.types import NS_PER_MS, NS_PER_S, Event, MaskResult, Window

IDLE_WAIT_S = 0.5  # upper bound on sleeping; new data wakes the worker at once
STEP_ERRORS_IN_A_ROW = 10  # after this many the model is taken to be broken, not the window


class Worker:
    """Runs until the source has ended and every window is done, or until stopped.

    Args:
        intake: where captured data arrives; its condition wakes the worker.
        join: makes windows.
        session: makes results.
        on_result: called on the worker thread with each result; must not block.
        ledger: where failed steps and moves of the ladder are counted.
        ladder: says what to do under overload; None makes a mask of every window.
        models: for the ladder's rungs: the session's own, and one with a smaller input or the same.

    Attributes:
        session: as given.
        turn: the right to hand on results; whoever revokes it may put another worker in this place.
        done: set at the end of the thread.
        error: what ended it before its time. An `EngineError` means that the model is broken.
    """

    def __init__(
        self,
        intake: Intake,
        join: Join,
        session: Session,
        on_result: Callable[[MaskResult], None],
        ledger: Ledger,
        clock: MonotonicClock = monotonic_ns,
        ladder: Ladder | None = None,
        models: tuple[AnyModel, AnyModel] | None = None,
    ) -> None:
        self._ladder = ladder
        self._models = models
        self._intake = intake
        self._join = join
        self.session = session
        self._on_result = on_result
        self._ledger = ledger
        self._clock = clock
        self._failures = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self.turn = Turn()
        self.done = threading.Event()
        self.error: BaseException | None = None

    def start(self) -> None:
        """Begin to make masks."""
        self._thread.start()

    @property
    def rung(self) -> str:
        """How the stream runs now: "full", or what the overload ladder has given up."""
        return self._ladder.rung.name if self._ladder is not None else "full"

    def stop(self, timeout_s: float = 2.0) -> bool:
        """End after the step in progress; False if that is not over in time."""
        self._stopping.set()
        self._intake.wake()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._make_masks()
        except BaseException as error:  # shown by whoever waits for `done`
            held = self.turn.revoke()
            if held.phase in (Phase.STEPPING, Phase.HANDING_ON):
                self._ledger.record(Event.WORKER_LOST, held.stamp_ns, repr(error))
            self.error = error
        finally:
            self.done.set()

    def _make_masks(self) -> None:
        while not self._stopping.is_set() and self.turn.rest():
            seen, finished = self._intake.version, self._intake.finished  # before looking, to miss nothing
            held = self._join.next_window()
            if held is None:
                wait_ns = self._join.wait_ns()
                if finished and wait_ns is None:
                    return
                wait_s = IDLE_WAIT_S if wait_ns is None else min(IDLE_WAIT_S, wait_ns / NS_PER_S)
                self._intake.wait_change(seen, wait_s)
                continue
            with held as window:
                result = self._serve(window)
            self._intake.wake()  # a source that waits for room has it now
            if result is not None:
                self._on_result(result)

    def _serve(self, window: Window) -> MaskResult | None:
        """Make the result of a window; None if there is none, or if it is no longer this worker's turn."""
        stamp_ns = window.newest.stamp_ns
        if not self.turn.begin(stamp_ns):
            self._ledger.record(Event.WORKER_LOST, stamp_ns, "taken just as the worker was replaced")
            return None
        try:
            result = self._answer(window)
        except StepError as error:
            if self.turn.rest():
                self._count_failure(error, stamp_ns)
            return None
        self._failures = 0
        return result if self.turn.finish() else None

    def _count_failure(self, error: StepError, stamp_ns: int) -> None:
        poisoned = isinstance(error, PoisonedError)
        self._ledger.record(Event.POISONED if poisoned else Event.STEP_ERROR, stamp_ns, str(error))
        self._failures += 1
        if poisoned:
            raise EngineError(f"the engine is poisoned: {error.what}") from error
        if self._failures >= STEP_ERRORS_IN_A_ROW:
            raise EngineError(
                f"the model failed on {self._failures} windows in a row, last: {error}",
                "Try another --model.preset; report this with the output of `stream-avs doctor`",
            ) from error

    def _answer(self, window: Window) -> MaskResult | None:
        """Step, hold or skip, as the ladder says."""
        ladder, newest = self._ladder, window.newest
        if ladder is None:
            return self.session.step(window)
        action = ladder.choose(self._clock())
        if action is Action.SKIP:
            self.session.skip(window)
            self._ledger.record(Event.SKIPPED, newest.stamp_ns, ladder.rung.name)
            return None
        if action is Action.HOLD:
            return self.session.hold(window)
        if self._models is not None:
            self.session.use(self._models[ladder.rung.small or ladder.rung.hold], "input_size")
        result = self.session.step(window)
        now_ns = self._clock()
        if moved := ladder.observe((now_ns - newest.arrival_ns) / NS_PER_MS, now_ns):
            self._ledger.record(Event.OVERLOAD, newest.stamp_ns, moved)
        return result
