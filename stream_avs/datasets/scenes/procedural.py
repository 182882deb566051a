"""Shapes and timbres: scenes that need no files and cannot be solved by looking alone.

The colour of an object tells its pitch (red low, blue high) and its shape tells its timbre. A red
and a blue disc are both in the picture; only the sound tells which of them sounds.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
from numpy.typing import NDArray

from stream_avs.config import require
from stream_avs.datasets.scenes.source import Background, Sprite

SHAPES = ("disc", "square", "triangle", "ring")
COLOURS = ("red", "blue", "green")
PITCH_HZ = (300.0, 1200.0, 2600.0)
_HUE = (0.0, 120.0, 60.0)  # of 180, as OpenCV counts
# What makes the timbre of a shape: harmonics (number, strength), beat in Hz, depth of the beat.
_HARMONICS = (
    ((1, 1.0),),
    ((1, 1.0), (3, 0.6), (5, 0.4)),
    ((1, 0.7), (2, 0.7), (4, 0.6)),
    ((1, 1.0), (2, 0.4)),
)
_BEAT_HZ = (0.0, 0.0, 5.0, 11.0)
_BEAT_DEPTH = (0.0, 0.0, 0.6, 0.9)


class ProceduralSource:
    """Coloured shapes with the pitch of their colour and the timbre of their shape.

    Args:
        shapes: how many of disc, square, triangle, ring.
        colours: how many of red (300 Hz), blue (1200 Hz), green (2600 Hz); 2 or 3.

    Raises:
        ConfigError: a count is out of range.
    """

    def __init__(self, shapes: int = 3, colours: int = 2) -> None:
        require(1 <= shapes <= len(SHAPES), "scenes.shapes", shapes, f"1..{len(SHAPES)}")
        require(2 <= colours <= len(COLOURS), "scenes.colours", colours, f"2..{len(COLOURS)}")
        self._colours = colours
        names = [f"{COLOURS[c]} {SHAPES[s]}" for s in range(shapes) for c in range(colours)]
        self.class_names: tuple[str, ...] = ("background", *names)
        self.visible = frozenset(range(1, len(self.class_names)))
        self.sounding = self.visible

    def sprite(self, class_id: int, side_px: int, rng: np.random.Generator) -> Sprite:
        """Draw a shape, lit from one side; colour and light vary a little."""
        shape, colour = divmod(class_id - 1, self._colours)
        hue = (_HUE[colour] + rng.uniform(-6, 6)) % 180
        saturation, value = rng.uniform(190, 255), rng.uniform(170, 255)
        hsv = np.array([[[hue, saturation, value]]], np.uint8)
        rgb = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32)
        light = np.linspace(rng.uniform(0.75, 1.0), rng.uniform(0.75, 1.0), side_px, dtype=np.float32)
        shaded = np.broadcast_to((light[:, None] * rgb)[:, None], (side_px, side_px, 3))
        return Sprite(rgb=shaded.astype(np.uint8), alpha=_outline(shape, side_px))

    def sound(
        self, class_id: int, samples: int, sample_rate_hz: int, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Make a tone within 4 % of the colour's pitch, with the harmonics and beat of the shape."""
        shape, colour = divmod(class_id - 1, self._colours)
        pitch_hz = PITCH_HZ[colour] * rng.uniform(0.96, 1.04)
        time_s = np.arange(samples, dtype=np.float64) / sample_rate_hz
        tone = np.zeros(samples, np.float64)
        for number, strength in _HARMONICS[shape]:
            tone += strength * np.sin(2 * np.pi * (number * pitch_hz * time_s + rng.uniform()))
        if _BEAT_DEPTH[shape]:
            beat = np.sin(2 * np.pi * (_BEAT_HZ[shape] * time_s + rng.uniform()))
            tone *= 1 - _BEAT_DEPTH[shape] * (0.5 + 0.5 * beat)
        rms = np.sqrt(np.mean(tone**2)) if samples else 1.0
        return (tone / max(rms, 1e-9)).astype(np.float32)

    def background(self, side_px: int, rng: np.random.Generator) -> Background:
        """Make a dim, blurred patchwork with fine grain."""
        patches = rng.integers(30, 150, (5, 5, 3), dtype=np.uint8)
        grain = rng.integers(0, 24, (side_px // 2 + 1, side_px // 2 + 1, 3), dtype=np.uint8)
        size = (side_px, side_px)
        rgb = cv2.add(
            cv2.resize(patches, size, interpolation=cv2.INTER_LINEAR),
            cv2.resize(grain, size, interpolation=cv2.INTER_NEAREST),
        )
        return Background(rgb=np.asarray(rgb, np.uint8), classes=np.zeros(size, np.uint8))

    def lookalikes(self, class_id: int) -> frozenset[int]:
        """Return the same shape in the other colours."""
        shape = (class_id - 1) // self._colours
        first = 1 + shape * self._colours
        return frozenset(range(first, first + self._colours)) - {class_id}

    def confusable(self, class_id: int) -> frozenset[int]:
        """Return the class alone: every class has its own pitch and timbre."""
        return frozenset({class_id})


@functools.lru_cache(maxsize=1024)
def _outline(shape: int, side_px: int) -> NDArray[np.uint8]:
    """uint8 [side, side], 255 inside the shape; read-only because it is shared."""
    axis = (np.arange(side_px) + 0.5) / side_px * 2 - 1
    x, y = axis[None, :], axis[:, None]
    radius = np.hypot(x, y)
    inside = (
        radius <= 1,
        np.maximum(np.abs(x), np.abs(y)) <= 0.86,
        (2 * np.abs(x) <= y + 1) & (y <= 1),
        (radius <= 1) & (radius >= 0.55),
    )[shape]
    alpha = np.where(inside, 255, 0).astype(np.uint8)
    alpha.setflags(write=False)
    return alpha
