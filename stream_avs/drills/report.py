"""What a drill is, and what it found."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


class Verdict(enum.StrEnum):
    """How a drill ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"  # this machine lacks what it needs


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that had to hold: what, what was found, and whether that is good."""

    name: str
    found: str
    passed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class DrillReport:
    """One drill, done or skipped.

    Attributes:
        name: of the drill.
        verdict: see `Verdict`.
        reason: why it was skipped or failed; "" if it passed.
        shown: what the session said of itself meanwhile, in order, e.g. "reconnecting".
        recovery_s: from the end of the fault to the first right mask; None where there was none.
        checks: everything that had to hold.
        took_s: length of the whole drill.
    """

    name: str
    verdict: Verdict
    reason: str = ""
    shown: tuple[str, ...] = ()
    recovery_s: float | None = None
    checks: tuple[Check, ...] = ()
    took_s: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What the body of a drill hands back; see `DrillReport`."""

    shown: tuple[str, ...] = ()
    recovery_s: float | None = None
    checks: list[Check] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class Times:
    """How long a drill takes its time.

    Attributes:
        settle_s: of undisturbed running before the fault; the audio context takes 2 s to fill.
        fault_s: of the fault, where it lasts.
        calm_s: of running after it, in which masks have to be right.
        patience_s: the longest wait for the first right mask.
    """

    settle_s: float = 3.0
    fault_s: float = 3.0
    calm_s: float = 4.0
    patience_s: float = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Drill:
    """One fault.

    Attributes:
        name: on the command line.
        what: what is done, for a person.
        act: does it, in a folder of its own, and raises StreamAvsError if it cannot be done.
        needs: says what this machine lacks; "" when nothing.
        bound_s: the longest recovery that passes; None where masks must not stop at all.
    """

    name: str
    what: str
    act: Callable[[Path, Times], Outcome]
    needs: Callable[[], str] = lambda: ""
    bound_s: float | None = 2.0
