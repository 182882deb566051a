"""A scene whose truth is known: shapes that move, sound in turns, and flash when they begin.

Pure and deterministic: every picture and every sample is a function of its time alone, so that any
two ways of cutting the same time into frames and blocks agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_avs.config import SyntheticConfig
from stream_avs.types import ClassMap, Image, Samples

RATE_HZ = 16_000
FLASH_S = 0.1
"""A shape is white for so long from the moment its sound begins."""

ATTACK_S = 0.002
RELEASE_S = 0.02
LEVEL = 0.25
TURN_S = 1.2

TURNS: tuple[tuple[int, ...], ...] = ((1,), (2,), (), (3,), (1, 2), (), (3, 1), (2,), ())
"""Which shapes sound, turn after turn, then again from the start; the seed rotates the shapes."""

LABELS = {1: "disc", 2: "square", 3: "triangle"}

COLOURS: dict[int, tuple[int, int, int]] = {1: (210, 60, 50), 2: (60, 170, 70), 3: (60, 90, 220)}
"""Per class id: RGB, except while a shape flashes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shape:
    """A shape's look and path: around (x, y) with amplitude (ax, ay), in shares of the picture."""

    colour: tuple[int, int, int]
    centre: tuple[float, float]
    swing: tuple[float, float]
    period_s: tuple[float, float]
    phase: tuple[float, float]

    def at(self, axis: int, t_s: float) -> float:
        """Where its centre is, as a share of the picture; axis 0 is across, 1 is down."""
        angle = 2 * math.pi * t_s / self.period_s[axis] + self.phase[axis]
        return self.centre[axis] + self.swing[axis] * math.sin(angle)


Inside = Callable[[NDArray[np.float32], NDArray[np.float32], float], NDArray[np.bool_]]

INSIDE: dict[int, Inside] = {
    1: lambda x, y, r: x * x + y * y <= r * r,
    2: lambda x, y, r: np.maximum(np.abs(x), np.abs(y)) <= 0.85 * r,
    3: lambda x, y, r: (y <= 0.7 * r) & (y >= 2 * np.abs(x) - r),
}
"""Per class id: whether the points (x, y), relative to the centre, lie in a shape of radius r."""

PARTIALS: dict[int, tuple[tuple[float, float], ...]] = {
    1: ((440.0, 1.0), (880.0, 0.5), (1320.0, 0.25)),
    2: ((196.0, 1.0), (588.0, 0.33), (980.0, 0.2), (1372.0, 0.14)),
    3: ((1760.0, 1.0), (2793.0, 0.6), (4186.0, 0.4)),
}
"""Per class id: (frequency in Hz, amplitude) of a flute-like, a hollow and a bell-like sound."""


class SyntheticScene:
    """The scene as a function of time in seconds; before 0 it is silent and nothing sounds.

    Args:
        config: picture size and seed.
    """

    labels = LABELS
    sample_rate_hz = RATE_HZ

    def __init__(self, config: SyntheticConfig) -> None:
        random = np.random.default_rng(config.seed)
        height, width = config.height_px, config.width_px
        self._radius_px = 0.17 * min(height, width)
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        self._rows: NDArray[np.float32] = rows
        self._columns: NDArray[np.float32] = columns
        shade = 60 + 40 * rows / height + 20 * columns / width
        grain = random.integers(-8, 9, (height, width, 3))
        self._background = np.clip(shade[..., None] + grain, 0, 255).astype(np.uint8)
        self._first_turn = int(random.integers(len(TURNS)))
        self._shapes = {
            class_id: _Shape(
                colour=COLOURS[class_id],
                centre=(0.25 * class_id, 0.5),
                swing=(0.08, 0.22),
                period_s=(float(random.uniform(3, 6)), float(random.uniform(4, 8))),
                phase=(float(random.uniform(0, 2 * math.pi)), float(random.uniform(0, 2 * math.pi))),
            )
            for class_id in LABELS
        }

    def sounding_at(self, t_s: float) -> tuple[int, ...]:
        """Class ids of the shapes that sound at a time."""
        if t_s < 0:
            return ()
        return TURNS[(int(t_s / TURN_S) + self._first_turn) % len(TURNS)]

    def frame_at(self, t_s: float) -> tuple[Image, ClassMap]:
        """Return the picture, uint8 [H, W, 3] RGB, and the class ids of its sounding pixels, uint8 [H, W]."""
        image = self._background.copy()
        objects = self.objects_at(t_s)
        sounding = self.sounding_at(t_s)
        for class_id, shape in self._shapes.items():
            flashing = class_id in sounding and self._since_onset_s(class_id, t_s) < FLASH_S
            image[objects == class_id] = (255, 255, 255) if flashing else shape.colour
        mask = np.where(np.isin(objects, sounding), objects, 0).astype(np.uint8)
        return image, mask

    def objects_at(self, t_s: float) -> ClassMap:
        """Return the class ids of all shapes, sounding or not, uint8 [H, W]; later ids lie in front."""
        objects = np.zeros(self._rows.shape, np.uint8)
        height, width = self._background.shape[:2]
        for class_id, shape in self._shapes.items():
            x = shape.at(0, t_s) * width
            y = shape.at(1, t_s) * height
            inside = INSIDE[class_id](self._columns - x, self._rows - y, self._radius_px)
            objects[inside] = class_id
        return objects

    def audio_between(self, begin: int, end: int) -> Samples:
        """Return samples `begin` to `end` (exclusive) of the scene, float32 [n, 1]; sample 0 is at time 0."""
        index = np.arange(begin, end)
        t_s = index / RATE_HZ
        turn = np.floor(t_s / TURN_S).astype(np.int64)
        samples = np.zeros(len(index))
        for class_id, partials in PARTIALS.items():
            envelope = self._envelope(class_id, t_s, turn)
            if envelope.any():
                total = sum(amplitude for _, amplitude in partials)
                for frequency_hz, amplitude in partials:
                    # Phase by whole samples: float time would lose precision after hours.
                    cycles = (index * frequency_hz) % RATE_HZ / RATE_HZ
                    samples += envelope * (LEVEL * amplitude / total) * np.sin(2 * np.pi * cycles)
        return samples.astype(np.float32)[:, None]

    def _envelope(
        self, class_id: int, t_s: NDArray[np.float64], turn: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        on_in_turn = np.array([class_id in sounding for sounding in TURNS])
        on = on_in_turn[(turn + self._first_turn) % len(TURNS)] & (t_s >= 0)
        before = on_in_turn[(turn - 1 + self._first_turn) % len(TURNS)] & (turn > 0)
        after = on_in_turn[(turn + 1 + self._first_turn) % len(TURNS)]
        into_s = t_s - turn * TURN_S
        attack = np.where(before, 1.0, np.minimum(into_s / ATTACK_S, 1.0))
        release = np.where(after, 1.0, np.minimum((TURN_S - into_s) / RELEASE_S, 1.0))
        return np.asarray(on * np.clip(attack, 0, 1) * np.clip(release, 0, 1))

    def _since_onset_s(self, class_id: int, t_s: float) -> float:
        """Time since the sound of a shape began; it may go on through several turns."""
        turn = int(t_s / TURN_S)
        if turn > 0 and class_id in self.sounding_at((turn - 0.5) * TURN_S):
            return t_s - (turn - 1) * TURN_S
        return t_s - turn * TURN_S
