"""The course of a drill: run undisturbed, break something, mend it, and see what comes after."""

from __future__ import annotations

import time
from collections.abc import Callable

from stream_avs.clock import monotonic_ns
from stream_avs.drills.report import Check, Outcome, Times
from stream_avs.drills.rig import Rig


def endure(
    rig: Rig,
    times: Times,
    strike: Callable[[], None],
    mend: Callable[[], None] = lambda: None,
    shows: str = "",
    rounds: int = 1,
) -> Outcome:
    """Do a fault to a rig that has just been started.

    Args:
        rig: with its truth set.
        times: how long each part takes.
        strike: begins the fault; it lasts `fault_s`.
        mend: ends it.
        shows: what the session has to say of itself meanwhile; "" for anything.
        rounds: how often; the longest recovery counts. With more than one, growth is judged from the
            first recovery on: what is opened anew may take another thread or two than at the start.
    """
    rig.settle(times)
    before, begun_ns, told = rig.usage(), monotonic_ns(), len(rig.shown)
    recoveries: list[float | None] = []
    for number in range(rounds):
        strike()
        time.sleep(times.fault_s)
        mend()
        recoveries.append(rig.wait_right(monotonic_ns(), times.patience_s))
        right_ns = monotonic_ns()
        time.sleep(times.calm_s)
        if number == 0 and rounds > 1:
            before = rig.usage()
    shown = tuple(rig.shown[max(0, told - 1) :])
    checks = [rig.right_after(right_ns)]
    if shows:
        said = [*shown, *(f"masks: {seen.result.state}" for seen in rig.seen(begun_ns))]
        found = ", then ".join(shown)
        checks.append(
            Check(name=f"says {shows!r}", found=found, passed=any(shows in words for words in said))
        )
    checks += [*rig.no_growth(before), *rig.close()]
    in_time = [r for r in recoveries if r is not None]
    recovery_s = max(in_time) if len(in_time) == rounds else None
    return Outcome(shown=shown, recovery_s=recovery_s, checks=checks)


def endure_unbroken(rig: Rig, times: Times, strike: Callable[[], None], limit_s: float) -> Outcome:
    """As `endure`, for a fault through which masks have to go on being right, without a pause.

    Args:
        rig, times, strike: see `endure`; what `strike` begins ends by itself or does not matter.
        limit_s: the longest time between two masks.
    """
    rig.settle(times)
    before, begun_ns = rig.usage(), monotonic_ns()
    told = len(rig.shown)
    strike()
    time.sleep(times.fault_s + times.calm_s)
    silence_s = rig.silence_s(begun_ns)
    shown = tuple(rig.shown[max(0, told - 1) :])
    checks = [
        Check(name="longest pause", found=f"{silence_s:.2f} s", passed=silence_s <= limit_s),
        rig.right_after(begun_ns),
        *rig.no_growth(before),
        *rig.close(),
    ]
    return Outcome(shown=shown, recovery_s=None, checks=checks)
