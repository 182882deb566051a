"""A network that cannot err on the synthetic scene, and what its masks must be.

It listens for the scene's sounds and marks the pixels of the sources' colours, so a wrong mask means
wrong pictures, wrong sound, or the two brought together wrongly.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stream_avs.capture.synthetic_scene import (
    COLOURS,
    FLASH_S,
    LABELS,
    LEVEL,
    PARTIALS,
    RATE_HZ,
    TURN_S,
    SyntheticScene,
)
from stream_avs.config import SyntheticConfig
from stream_avs.models.base import Decision, Stages
from stream_avs.types import NS_PER_S, ClassMap, MaskResult, Samples, Window

SCENE = SyntheticConfig(width_px=160, height_px=120, fps=20.0, seed=3)

HEARD_S = 0.08
"""So much of the newest sound is listened to: tones 240 Hz apart are told apart."""

_FLOOR = 0.3
"""A tone counts from this share of the amplitude it has in the scene."""

_COLOUR_SPAN = 45
"""Colours at most so far off, per channel, are taken for a source's: codecs change them a little."""


class TruthModel:
    """A `StreamModel` for the scene.

    Args:
        work_s: processor time one step takes, to be overloaded with.
        context_s: sound one window brings; as much as the networks that ship want.
    """

    id = "truth-00000000"
    labels = LABELS
    sample_rate_hz = RATE_HZ
    frames = 5
    input_px = SCENE.width_px
    mask_shape = (SCENE.height_px, SCENE.width_px)
    notes: tuple[str, ...] = ()

    def __init__(self, work_s: float = 0.0, context_s: float = 2.0) -> None:
        self._work_s = work_s
        self.context_s = context_s

    def initial_state(self) -> int:
        """The number of steps so far."""
        return 0

    def step(self, window: Window, state: int, stages: Stages) -> tuple[Decision, int]:
        """See `StreamModel.step`."""
        with stages.measure("model"):
            heard = sounds_in(window.audio[-1, -round(HEARD_S * RATE_HZ) :])
            mask = pixels_of(window.newest.image, heard)
            _work(self._work_s)
        confidence = np.where(mask > 0, np.uint8(255), np.uint8(0))
        scores = dict.fromkeys(heard, 1.0)
        decision = Decision(
            mask=mask, confidence=confidence, scores=scores, sounding_score=float(bool(heard))
        )
        return decision, state + 1


def sounds_in(samples: Samples) -> tuple[int, ...]:
    """Class ids of the scene's sounds in a piece of sound, float32 [n]."""
    shape = np.hanning(len(samples))
    t_s = np.arange(len(samples)) / RATE_HZ
    heard = []
    for class_id, partials in PARTIALS.items():
        frequency_hz, amplitude = partials[0]
        expected = LEVEL * amplitude / sum(a for _, a in partials)
        tone = np.exp(-2j * np.pi * frequency_hz * t_s)
        found = 2 * abs(np.sum(samples * shape * tone)) / np.sum(shape)
        if found > _FLOOR * expected:
            heard.append(class_id)
    return tuple(heard)


def pixels_of(image: NDArray[np.uint8], class_ids: Sequence[int]) -> ClassMap:
    """Mark the pixels that have the colours of these sources, uint8 [H, W]."""
    mask = np.zeros(image.shape[:2], np.uint8)
    for class_id in class_ids:
        away = np.abs(image.astype(np.int16) - np.array(COLOURS[class_id], np.int16))
        mask[(away < _COLOUR_SPAN).all(axis=2)] = class_id
    return mask


def jaccard(mask: ClassMap, truth: ClassMap) -> float:
    """Pixels with the same class in both over pixels with a class in any; 1 if there are none."""
    either = (mask > 0) | (truth > 0)
    return float(((mask == truth) & either).sum() / either.sum()) if either.any() else 1.0


class Truth(Protocol):
    """Knows what masks should be."""

    def agreement(self, results: Sequence[MaskResult]) -> float | None:
        """Mean Jaccard index over those results for which there is one answer; None without any."""


class SceneTruth:
    """The scene of a `Synthetic` source.

    Args:
        scene: as shown.
        start_ns: stamp of its time 0.
        delays_s: by how much later than shown the pictures may be stamped; the delay that fits best
            counts. A network stream has one, and it is not known beforehand.
        always: if given, this source sounds all the time, instead of the scene's turns.
    """

    def __init__(
        self,
        scene: SyntheticScene,
        start_ns: int,
        *,
        delays_s: Sequence[float] = (0.0,),
        always: int | None = None,
    ) -> None:
        self._scene = scene
        self._start_ns = start_ns
        self._delays_s = delays_s
        self._always = always

    def agreement(self, results: Sequence[MaskResult]) -> float | None:
        """See `Truth.agreement`."""
        found = [j for delay_s in self._delays_s if (j := self._mean(results, delay_s)) is not None]
        return max(found, default=None)

    def _mean(self, results: Sequence[MaskResult], delay_s: float) -> float | None:
        margin_s = HEARD_S if len(self._delays_s) == 1 else 0.2
        found = []
        for result in results:
            t_s = (result.stamp_ns - self._start_ns) / NS_PER_S - delay_s
            # While a source flashes it has another colour, and a piece of sound may hold two turns.
            into_s = t_s % TURN_S
            if t_s < 0 or into_s < FLASH_S + margin_s or into_s > TURN_S - 0.02 - (margin_s - HEARD_S):
                continue
            found.append(jaccard(result.mask, self._mask_at(t_s)))
        return float(np.mean(found)) if found else None

    def _mask_at(self, t_s: float) -> ClassMap:
        if self._always is None:
            return self._scene.frame_at(t_s)[1]
        objects = self._scene.objects_at(t_s)
        return np.where(objects == self._always, objects, 0).astype(np.uint8)


def _work(seconds: float) -> None:
    """Keep one processor busy for so much of its time."""
    until_s = time.thread_time() + seconds
    square = np.ones((64, 64), np.float32)
    while time.thread_time() < until_s:
        square = np.clip(square @ square, 0, 1)
