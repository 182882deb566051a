"""The script of one scene: who is where, who sounds when. Nothing is drawn or heard yet.

Picture and sound are planned apart: changing `ScenePlan.events` changes what is heard and which
object is masked, and not one pixel of the picture.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_avs.datasets.scenes.source import Background, Sprite

NOISE = 0
"""Class id of a `SoundEvent` that is noise."""


class Tag(enum.StrEnum):
    """What happens in a clip."""

    SILENCE = "silence"
    NOISE_ONLY = "noise_only"
    OFF_SCREEN = "off_screen"
    OFF_SCREEN_MIX = "off_screen_mix"
    ON_SCREEN = "on_screen"
    SEVERAL = "several"
    SWITCH = "switch"
    DISTRACTOR = "distractor"
    NOISE = "noise"
    IN_PLACE = "in_place"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SceneObject:
    """One visible object.

    Attributes:
        class_id: what it is.
        sprite: its picture; None for an object that the background image itself shows.
        start_px: (x, y) of its top left corner at time 0.
        velocity_px_s: (x, y); it is thrown back at the edges of the frame.
    """

    class_id: int
    sprite: Sprite | None
    start_px: tuple[float, float] = (0.0, 0.0)
    velocity_px_s: tuple[float, float] = (0.0, 0.0)

    def position_px(self, time_s: float, size_px: int) -> tuple[int, int]:
        """Return (x, y) of the top left corner of the sprite, always wholly inside the frame."""
        assert self.sprite is not None
        height, width = self.sprite.alpha.shape
        x = reflect(self.start_px[0] + self.velocity_px_s[0] * time_s, size_px - width)
        y = reflect(self.start_px[1] + self.velocity_px_s[1] * time_s, size_px - height)
        return x, y


@dataclass(frozen=True, kw_only=True, slots=True)
class SoundEvent:
    """One sound from `start_s` to `end_s`.

    Attributes:
        class_id: whose sound; `NOISE` for noise.
        start_s: seconds from the start of the clip.
        end_s: seconds from the start of the clip.
        level_db: RMS, dB below full scale.
        seed: decides which sound of the class and how it varies.
        source: index of the object that makes it; None for what cannot be seen.
    """

    class_id: int
    start_s: float
    end_s: float
    level_db: float
    seed: int
    source: int | None = None

    def fills(self, time_s: float, decision_s: float) -> bool:
        """Whether the event covers more than half of the `decision_s` before `time_s`."""
        heard_s = min(time_s, self.end_s) - max(time_s - decision_s, self.start_s)
        return heard_s > decision_s / 2


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ScenePlan:
    """Everything a scene is made from.

    Attributes:
        size_px: side of the frames.
        frame_times_s: float64 [T], seconds from the first sample.
        duration_s: length of the sound.
        sample_rate_hz: rate of the sound.
        decision_s: see `SceneConfig.decision_s`.
        background: larger than the frame, so that it can pan.
        pan_px_s: (x, y) velocity of the frame over the background.
        objects: from back to front.
        events: all sounds.
        tags: what happens.
    """

    size_px: int
    frame_times_s: NDArray[np.float64]
    duration_s: float
    sample_rate_hz: int
    decision_s: float
    background: Background
    pan_px_s: tuple[float, float]
    objects: tuple[SceneObject, ...]
    events: tuple[SoundEvent, ...]
    tags: frozenset[str]

    def sounding(self, time_s: float) -> frozenset[int]:
        """Return the indices of the objects that sound at `time_s`."""
        return frozenset(
            event.source
            for event in self.events
            if event.source is not None and event.fills(time_s, self.decision_s)
        )


def reflect(position: float, limit: int) -> int:
    """Fold a position into 0..limit as a ball between two walls, rounded to a pixel."""
    if limit <= 0:
        return 0
    folded = position % (2 * limit)
    return round(folded if folded <= limit else 2 * limit - folded)
