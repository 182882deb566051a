"""How often something may happen: a bucket that fills at a rate and is emptied by the drop. Pure."""

from __future__ import annotations


class RateLimit:
    """Allows `burst` at once, and `per_s` in the long run.

    Args:
        per_s: rate, Hz.
        burst: how many may come at once; at least 1.
        now_s: time of the start, s, on the clock of `take`.
    """

    def __init__(self, per_s: float, burst: float, now_s: float) -> None:
        self._per_s = per_s
        self._burst = max(1.0, burst)
        self._level = self._burst
        self._at_s = now_s

    def take(self, now_s: float) -> bool:
        """True if one more is allowed at this time; then it is counted."""
        passed_s = max(0.0, now_s - self._at_s)
        self._at_s = max(now_s, self._at_s)
        self._level = min(self._burst, self._level + passed_s * self._per_s)
        if self._level < 1.0:
            return False
        self._level -= 1.0
        return True
