"""What to give up when masks come too late, and when to take it back. Pure: times are handed in.

    full -> half rate -> smaller input -> hold the last mask, marked `stale`

One rung down when half of the last second's masks were too old, one up after a calm spell, in which
a mask now and then may be late. A rung that has just failed is tried again later each time, so that
the ladder does not swing.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass
from statistics import median

from stream_avs.config import OverloadConfig
from stream_avs.types import NS_PER_MS, NS_PER_S

_JUDGE_MIN = 2  # masks: with fewer nothing is said
_CALM_SHARE = 0.6  # of the age budget: half of a calm spell's masks are younger than this
_LATE_SHARE = 0.1  # of a calm spell's masks; on a busy machine one without any late mask may never come
_PROBE_S = 1.0  # while holding, the network rests this long, or
_REST_SHARE = 2.0  # so many times as long as it last worked
_LONGEST_WAIT_S = 60.0


class Action(enum.StrEnum):
    """What to do with a frame."""

    STEP = "step"
    SKIP = "skip"  # no mask, so that the next ones are in time
    HOLD = "hold"  # the last mask again


@dataclass(frozen=True, kw_only=True, slots=True)
class Rung:
    """One way of running.

    Attributes:
        name: for people.
        stride: one frame of so many gets a mask.
        small: use the network with the smaller input.
        hold: repeat the last mask; the network is only probed.
    """

    name: str
    stride: int = 1
    small: bool = False
    hold: bool = False


FULL = Rung(name="full")
HALF = Rung(name="half rate", stride=2)
SMALL = Rung(name="half rate, smaller input", stride=2, small=True)
HOLD = Rung(name="hold", hold=True)


class Ladder:
    """Decides frame by frame; one thread uses it.

    Args:
        config: age budget and waiting times.
        smaller: a network with a smaller input is at hand; its rung is left out otherwise.
    """

    def __init__(self, config: OverloadConfig, *, smaller: bool = False) -> None:
        self._rungs = (FULL, HALF, SMALL, HOLD) if smaller else (FULL, HALF, HOLD)
        self._budget_ms = config.age_budget_s * 1000.0
        self._judge_ns = round(config.judge_s * NS_PER_S)
        self._first_wait_ns = round(config.climb_s * NS_PER_S)
        self._wait_ns = self._first_wait_ns
        self._at = 0
        self._entered_ns: int | None = None
        self._climbed_ns: int | None = None
        self._last_step_ns: int | None = None
        self._rest_ns = round(_PROBE_S * NS_PER_S)
        self._offered = 0
        self._ages: deque[tuple[int, float]] = deque()
        self._spell: deque[tuple[int, float]] = deque()  # ages of the last `_wait_ns`, for the way up

    @property
    def rung(self) -> Rung:
        """How the stream runs now."""
        return self._rungs[self._at]

    def choose(self, now_ns: int) -> Action:
        """Say what to do with the next frame."""
        if self._entered_ns is None:
            self._entered_ns = now_ns
        rung = self.rung
        self._offered += 1
        if rung.hold:
            due = self._last_step_ns is None or now_ns - self._last_step_ns >= self._rest_ns
            action = Action.STEP if due else Action.HOLD
        else:
            action = Action.STEP if self._offered % rung.stride == 0 else Action.SKIP
        if action is Action.STEP:
            self._last_step_ns = now_ns  # also if the step fails and is never observed
        return action

    def observe(self, age_ms: float, now_ns: int) -> str:
        """Take the age of a mask just made; return why the rung changed, or "" if it did not.

        Args:
            age_ms: from the frame's arrival to now.
            now_ns: monotonic time.
        """
        if self._entered_ns is None:
            self._entered_ns = now_ns
        self._last_step_ns = now_ns
        self._rest_ns = max(round(_PROBE_S * NS_PER_S), round(_REST_SHARE * age_ms * NS_PER_MS))
        self._ages.append((now_ns, age_ms))
        while self._ages[0][0] < now_ns - self._judge_ns and len(self._ages) > _JUDGE_MIN:
            self._ages.popleft()
        self._spell.append((now_ns, age_ms))
        while self._spell[0][0] < now_ns - self._wait_ns:
            self._spell.popleft()
        late = sum(age > self._budget_ms for _, age in self._ages)
        judged = now_ns - self._entered_ns >= self._judge_ns and len(self._ages) >= _JUDGE_MIN
        if judged and 2 * late >= len(self._ages) and self._at + 1 < len(self._rungs):
            self._relapse(now_ns)
            reason = f"{late} of {len(self._ages)} masks older than {self._budget_ms:.0f} ms"
            return self._move(1, now_ns, reason)
        if self._at and now_ns - self._entered_ns >= self._wait_ns and self._calm():
            self._climbed_ns = now_ns
            return self._move(-1, now_ns, f"{self._wait_ns / NS_PER_S:.0f} s of masks in time")
        return ""

    def _calm(self) -> bool:
        """Whether the masks of the last `_wait_ns` were in time, all but a few."""
        ages = [age for _, age in self._spell]
        late = sum(age > self._budget_ms for age in ages)
        return late <= _LATE_SHARE * len(ages) and median(ages) <= _CALM_SHARE * self._budget_ms

    def _relapse(self, now_ns: int) -> None:
        """Wait twice as long before the next climb if the last one did not hold."""
        soon = self._climbed_ns is not None and now_ns - self._climbed_ns < 2 * self._wait_ns
        longest_ns = round(_LONGEST_WAIT_S * NS_PER_S)
        self._wait_ns = min(2 * self._wait_ns, longest_ns) if soon else self._first_wait_ns
        self._climbed_ns = None

    def _move(self, by: int, now_ns: int, reason: str) -> str:
        self._at += by
        self._entered_ns = now_ns
        self._offered = 0
        self._ages.clear()
        self._spell.clear()
        return f"{self.rung.name}: {reason}"
