"""What is asked of a shift, and what is known about it afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from stream_avs.calibration.edge_fit import Sampled
from stream_avs.config import require


class Method(StrEnum):
    """What is looked for in the picture."""

    AUTO = "auto"  # flash, and clap if that gives no sure result
    FLASH = "flash"
    CLAP = "clap"


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncLimits:
    """What makes a shift trustworthy."""

    min_events: int = 10
    """Fewest events that must be both seen and heard."""
    max_shift_s: float = 0.5
    """Largest shift, either way, to look for."""
    max_std_error_s: float = 0.004
    """Largest standard error to accept."""
    max_drift_s: float = 0.02
    """Largest change of the shift, from the first to the last event, to accept."""

    def __post_init__(self) -> None:
        require(3 <= self.min_events <= 1000, "limits.min_events", self.min_events, "3..1000")
        require(0.05 <= self.max_shift_s <= 2, "limits.max_shift_s", self.max_shift_s, "0.05..2 s")
        require(
            0 < self.max_std_error_s <= 0.1,
            "limits.max_std_error_s", self.max_std_error_s, "(0, 0.1] s",
        )  # fmt: skip
        require(0 < self.max_drift_s <= 1, "limits.max_drift_s", self.max_drift_s, "(0, 1] s")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SyncEstimate:
    """The shift, how sure it is, and what it rests on.

    Attributes:
        shift_s: `t_mic - t_cam`.
        std_error_s: its standard error.
        method: flash or clap.
        frame_locked: True for a drawn video, whose events begin exactly with a frame.
        seen, heard: events found in the picture, and in the sound.
        events: pairs of both that the estimate rests on.
        drift_s: change of the shift from the first to the last event; 0 if it may be chance.
        fps: frames per second of the recording.
        width_s, bend, anchor: the fitted edge, see `edge_fit.ramp`; for flashes the width is about
            the exposure.
        each_s: float64 [events], the shift by each event alone.
        each_std_s: float64 [events], how far off one event alone may be.
        times_s: float64 [events], when each was, from the first picture on.
        samples: the events, laid over each other by their sounds.
    """

    shift_s: float
    std_error_s: float
    method: Method
    frame_locked: bool
    seen: int
    heard: int
    events: int
    drift_s: float
    fps: float
    width_s: float
    bend: float
    anchor: float
    each_s: NDArray[np.float64]
    each_std_s: NDArray[np.float64]
    times_s: NDArray[np.float64]
    samples: tuple[Sampled, ...]
