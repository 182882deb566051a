"""The one thread that makes masks: takes windows from the join, steps the session, hands results on."""

from __future__ import annotations

import threading
from collections.abc import Callable

from stream_avs.clock import MonotonicClock, monotonic_ns
from stream_avs.engine.intake import Intake
from stream_avs.engine.session import Session
from stream_avs.errors import StepError, StreamAvsError
from stream_avs.ledger import Ledger
from stream_avs.timing.join import Join
from stream_avs.types import NS_PER_S, Event, MaskResult

IDLE_WAIT_S = 0.5  # upper bound on sleeping; new data wakes the worker at once
STEP_ERRORS_IN_A_ROW = 10  # after this many the model is taken to be broken, not the window


class Worker:
    """Runs until the source has ended and every window is done, or until stopped.

    Args:
        intake: where captured data arrives; its condition wakes the worker.
        join: makes windows.
        session: makes results.
        on_result: called on the worker thread with each result; must not block.
        ledger: where failed steps are counted.
    """

    def __init__(
        self,
        intake: Intake,
        join: Join,
        session: Session,
        on_result: Callable[[MaskResult], None],
        ledger: Ledger,
        clock: MonotonicClock = monotonic_ns,
    ) -> None:
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
                    result = self._session.step(window)
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
            self._on_result(result)
