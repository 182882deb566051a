"""What a network must offer to run in a session. Imports no torch.

A model holds weights and nothing that changes; what a stream carries from window to window is the
state object that `step` takes and returns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from stream_avs.clock import MonotonicClock, monotonic_ns
from stream_avs.errors import PoisonedError
from stream_avs.types import NS_PER_MS, ClassMap, Window


class Stages:
    """Stopwatch for the stages of one step.

    Args:
        clock: returns monotonic nanoseconds.
    """

    def __init__(self, clock: MonotonicClock = monotonic_ns) -> None:
        self._clock = clock
        self._ms: dict[str, float] = {}

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Add the time spent inside the `with` block to stage `name`."""
        start_ns = self._clock()
        try:
            yield
        finally:
            self._ms[name] = self._ms.get(name, 0.0) + (self._clock() - start_ns) / NS_PER_MS

    @property
    def ms(self) -> dict[str, float]:
        """Milliseconds per stage, in the order of their first use."""
        return dict(self._ms)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Decision:
    """What a model says about the newest frame of a window.

    Attributes:
        mask: uint8 [h, w] class ids, 0 = not sounding. Covers the whole source image.
        confidence: uint8 [h, w], probability of the winning class times 255; 0 where `mask` is 0.
        scores: how sure the model is that each class sounds and is seen, 0..1; every class in
            `mask` has an entry.
        sounding_score: how sure the model is that anything visible sounds, 0..1.
    """

    mask: ClassMap
    confidence: NDArray[np.uint8]
    scores: dict[int, float]
    sounding_score: float


def require_finite(what: str, numbers: Any) -> None:
    """Check what a network gave, where thresholds would hide that it is none.

    Args:
        what: part of the model it comes from.
        numbers: array or tensor.

    Raises:
        PoisonedError: it holds a number that is not finite.
    """
    if not math.isfinite(float(numbers.sum())):
        raise PoisonedError(f"the {what} gives numbers that are none")


State = TypeVar("State")


class StreamModel(Protocol[State]):
    """A network that segments what sounds, one window at a time.

    Attributes:
        id: preset and first 8 hex digits of the weight hash, e.g. "consensus-1f2e3d4c".
        labels: name of every class id the masks may hold (1..254).
        sample_rate_hz: rate of `Window.audio` the model wants.
        context_s: length of each row of `Window.audio` the model wants.
        frames: frames per window the model wants.
        input_px: side of the square network input.
        mask_shape: (h, w) of every mask.
        notes: one-line remarks a user should see, e.g. which backend runs and why not another.
    """

    @property
    def id(self) -> str: ...
    @property
    def labels(self) -> dict[int, str]: ...
    @property
    def sample_rate_hz(self) -> int: ...
    @property
    def context_s(self) -> float: ...
    @property
    def frames(self) -> int: ...
    @property
    def input_px(self) -> int: ...
    @property
    def mask_shape(self) -> tuple[int, int]: ...
    @property
    def notes(self) -> tuple[str, ...]: ...

    def initial_state(self) -> State:
        """Return the state at the start of a stream or after a reset."""

    def step(self, window: Window, state: State, stages: Stages) -> tuple[Decision, State]:
        """Decide for the newest frame of `window`.

        Args:
            window: `frames` frames, audio float32 [frames, context_s * sample_rate_hz], finite.
            state: what the previous step returned, or `initial_state()`.
            stages: stopwatch to record the stages of this step in.

        Returns:
            The decision, and the state for the next step; `state` itself must not be used again.
        """


AnyModel = StreamModel[Any]


@runtime_checkable
class Thresholded(Protocol):
    """A `StreamModel` whose masks can be decided at another threshold while it runs.

    Attributes:
        threshold: score above which a pixel sounds, 0..1, as `--model.threshold` sets it.
        own_threshold: the preset's own, used where nobody sets one.
    """

    @property
    def threshold(self) -> float: ...
    @property
    def own_threshold(self) -> float: ...

    def with_threshold(self, threshold: float) -> AnyModel:
        """The same network at another threshold, in microseconds.

        Weights, compiled parts and places of streams are shared with this one, and a state of either is
        good for both.
        """
