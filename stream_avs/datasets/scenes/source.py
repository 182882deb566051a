"""Where the pictures and sounds of composed scenes come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sprite:
    """One object cut out.

    Attributes:
        rgb: uint8 [h, w, 3].
        alpha: uint8 [h, w], 0 = see through; the object's mask is `alpha >= 128`.
    """

    rgb: NDArray[np.uint8]
    alpha: NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Background:
    """The picture behind the objects.

    Attributes:
        rgb: uint8 [h, w, 3].
        classes: uint8 [h, w], class ids of what the picture itself shows; 0 = nothing with a name.
    """

    rgb: NDArray[np.uint8]
    classes: NDArray[np.uint8]


class SceneSource(Protocol):
    """Objects, sounds and backgrounds by class. Class ids run from 1; 0 is the background."""

    class_names: tuple[str, ...]
    """Name of every class id; index 0 is the background."""
    visible: frozenset[int]
    """Classes that have at least one picture."""
    sounding: frozenset[int]
    """Classes that have at least one sound."""

    def sprite(self, class_id: int, side_px: int, rng: np.random.Generator) -> Sprite:
        """Draw an object of a visible class whose longer side is `side_px`."""

    def sound(
        self, class_id: int, samples: int, sample_rate_hz: int, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Make the sound of a sounding class, float32 [samples], RMS 1, without long pauses."""

    def background(self, side_px: int, rng: np.random.Generator) -> Background:
        """Make a square picture to stand behind the objects."""

    def lookalikes(self, class_id: int) -> frozenset[int]:
        """Visible classes that look like this one and sound different."""

    def confusable(self, class_id: int) -> frozenset[int]:
        """Classes, this one included, that may sound the same: never two of them in one clip."""
