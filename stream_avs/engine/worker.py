"""The one thread that makes masks: takes windows from the join, steps the session, hands results on."""

from __future__ import annotations

import threading
from collections.abc import Callable

from stream_avs.clock import MonotonicClock, monotonic_ns
from stream_avs.engine.intake import Intake
from stream_avs.engine.overload import Action, Ladder
from stream_avs.engine.session import Session
from stream_avs.errors import StepError, StreamAvsError
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
        self._session = session
        self._on_result = on_result
        self._ledger = ledger
        self._clock = clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self.done = threading.Event()
        self.error: BaseException | None = None

    def start(self) -> None:
        """Begin to make masks."""
        self._thread.start()

    @property
    def rung(self) -> str:
        """How the stream runs now: "full", or what the overload ladder has given up."""
        return self._ladder.rung.name if self._ladder is not None else "full"

    def stop(self, timeout_s: float = 2.0) -> None:
        """End after the step in progress."""
        self._stopping.set()
        self._intake.wake()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            self._make_masks()
        except BaseException as error:  # shown by whoever waits for `done`
            self.error = error
        finally:
            self._intake.stop()  # nobody will make room any more: let a waiting source go
            self.done.set()

    def _make_masks(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            seen, finished = self._intake.version, self._intake.finished  # before looking, to miss nothing
            held = self._join.next_window()
            if held is None:
                wait_ns = self._join.wait_ns()
                if finished and wait_ns is None:
                    return
                self._intake.wait_change(seen, IDLE_WAIT_S if wait_ns is None else wait_ns / NS_PER_S)
                continue
            with held as window:
                try:
                    result = self._answer(window)
                except StepError as error:
                    failures += 1
                    self._ledger.record(Event.STEP_ERROR, window.newest.stamp_ns, str(error))
                    if failures >= STEP_ERRORS_IN_A_ROW:
                        raise StreamAvsError(
                            f"the model failed on {failures} windows in a row, last: {error}",
                            "Try another --model.preset; report this with the output of `stream-avs doctor`",
                        ) from error
                    continue
            failures = 0
            self._intake.wake()  # a source that waits for room has it now
            if result is not None:
                self._on_result(result)

    def _answer(self, window: Window) -> MaskResult | None:
        """Step, hold or skip, as the ladder says."""
        ladder, newest = self._ladder, window.newest
        if ladder is None:
            return self._session.step(window)
        action = ladder.choose(self._clock())
        if action is Action.SKIP:
            self._session.skip(window)
            self._ledger.record(Event.SKIPPED, newest.stamp_ns, ladder.rung.name)
            return None
        if action is Action.HOLD:
            return self._session.hold(window)
        if self._models is not None:
            self._session.use(self._models[ladder.rung.small or ladder.rung.hold], "input_size")
        result = self._session.step(window)
        now_ns = self._clock()
        if moved := ladder.observe((now_ns - newest.arrival_ns) / NS_PER_MS, now_ns):
            self._ledger.record(Event.OVERLOAD, newest.stamp_ns, moved)
        return result
