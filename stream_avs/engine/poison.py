"""Signs that an engine is broken for good: numbers that are none, and devices that are gone.

Not-a-number spreads through every layer it meets, so the scores that come out of a network show it;
models whose scores do not pass through all of it check inside, with `require_finite`.
"""

from __future__ import annotations

import math

from stream_avs.errors import PoisonedError
from stream_avs.models.base import Decision

DEVICE_ERRORS = frozenset({"AcceleratorError", "CudaError", "DeferredCudaCallError"})
"""Names of the exceptions that torch raises when its device fails; running out of memory is another."""

DEVICE_WORDS = ("CUDA error", "CUDA driver error", "device-side assert", "device is lost", "device lost")
"""Beginnings of other errors that say the same."""


def check_numbers(decision: Decision) -> None:
    """Raise `PoisonedError` unless all scores are finite."""
    if not math.isfinite(decision.sounding_score):
        raise PoisonedError(f"the sounding score is {decision.sounding_score}")
    for class_id, score in decision.scores.items():
        if not math.isfinite(score):
            raise PoisonedError(f"the score of class {class_id} is {score}")


def is_device_lost(error: BaseException) -> bool:
    """Whether an error of torch, or one it was raised from, says that the device has failed."""
    seen: BaseException | None = error
    while seen is not None:
        if DEVICE_ERRORS & {kind.__name__ for kind in type(seen).__mro__}:
            return True
        if isinstance(seen, RuntimeError) and any(words in str(seen) for words in DEVICE_WORDS):
            return True
        seen = seen.__cause__
    return False
