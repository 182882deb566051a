"""Growing delays between attempts, so that whoever is being called is not run over when it is back."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from stream_avs.config import BackoffConfig

LOOK_S = 0.1
"""How often `Backoff.wait` looks whether there is a reason to try sooner."""


class Backoff:
    """Delays between attempts: `first_s`, then `factor` times longer each time, up to `most_s`.

    A share of each, up to `jitter`, is taken off at random: things lost together are not called
    together, and no delay is longer than `most_s`.

    Args:
        config: the delays.
        draw: returns a number in [0, 1).
    """

    def __init__(self, config: BackoffConfig, draw: Callable[[], float] = random.random) -> None:
        self._config = config
        self._draw = draw
        self._next_s = min(config.first_s, config.most_s)

    @property
    def next_s(self) -> float:
        """The longest that the next `wait` may take."""
        return self._next_s

    def wait(self, stop: threading.Event, sooner: Callable[[], bool] | None = None) -> bool:
        """Sleep the current delay and grow it; return False at once when `stop` is set.

        Args:
            stop: ends the wait.
            sooner: looked at every `LOOK_S`; True ends the delay, for it is worth trying now.
        """
        config = self._config
        delay_s = self._next_s * (1.0 - config.jitter * self._draw())
        self._next_s = min(self._next_s * config.factor, config.most_s)
        end_s = time.monotonic() + delay_s
        while (left_s := end_s - time.monotonic()) > 0:
            if stop.wait(left_s if sooner is None else min(left_s, LOOK_S)):
                return False
            if sooner is not None and sooner():
                break
        return not stop.is_set()

    def reset(self) -> None:
        """Begin again with the first delay, after a success."""
        self._next_s = min(self._config.first_s, self._config.most_s)
