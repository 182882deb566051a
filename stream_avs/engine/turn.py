"""The right to hand on results, held by one worker at a time. Pure: a lock and a few words.

A call that hangs in native code cannot be broken off. Its thread is left behind instead, and this
makes sure that whatever it still brings when it comes back goes nowhere.
"""

from __future__ import annotations

import enum
import threading
from dataclasses import dataclass


class Phase(enum.Enum):
    """What a worker does."""

    RESTING = "resting"  # between windows
    STEPPING = "stepping"  # in the model
    HANDING_ON = "handing on"  # in a listener
    REVOKED = "revoked"  # nothing that counts


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """What a worker was doing when its turn was taken away; `stamp_ns` is of the frame it had."""

    phase: Phase
    stamp_ns: int


class Turn:
    """One worker's turn. Taken away once and for ever by `revoke`, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._phase = Phase.RESTING
        self._stamp_ns = 0
        self._moves = 0

    @property
    def phase(self) -> Phase:
        """What the worker does now."""
        return self._phase

    @property
    def moves(self) -> int:
        """Grows with everything the worker does, resting included."""
        return self._moves

    def rest(self) -> bool:
        """Say that no frame is in hand; False if the turn was taken away."""
        return self._move(Phase.RESTING)

    def begin(self, stamp_ns: int) -> bool:
        """Say that the model steps on the frame with that stamp; False if the turn was taken away."""
        return self._move(Phase.STEPPING, stamp_ns)

    def finish(self) -> bool:
        """Say that the step is over; False if the turn was taken away: then the frame is accounted for."""
        return self._move(Phase.HANDING_ON)

    def revoke(self) -> Held:
        """Take the turn away; say what it was used for."""
        with self._lock:
            held = Held(phase=self._phase, stamp_ns=self._stamp_ns)
            self._phase = Phase.REVOKED
            return held

    def _move(self, phase: Phase, stamp_ns: int | None = None) -> bool:
        with self._lock:
            if self._phase is Phase.REVOKED:
                return False
            self._phase = phase
            self._stamp_ns = self._stamp_ns if stamp_ns is None else stamp_ns
            self._moves += 1
            return True
