"""Filmed flashes and claps with their sounds, at known moments and a known shift."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stream_avs.calibration.tracks import PictureTrack, SoundPiece
from stream_avs.types import NS_PER_S, StampSource

RATE_HZ = 48_000
SUBSAMPLES = 9
"""Moments within one exposure."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What happens, and how it is filmed. Exposures are centred on the frames' stamps.

    Attributes:
        shift_s: microphone stamp minus camera stamp of one moment.
        kind: "flash" or "clap".
        events: number of events.
        fps, exposure_s: of the camera.
        tone: exponent of the camera's tone curve.
        unseen, unheard: share of events that are missing from the picture, and from the sound.
        false_sights, false_sounds: events in one of them only, at random times.
        picture_noise, sound_noise: standard deviations, of 255 and of full scale.
        jitter_s: standard deviation of the frames' times.
        lost: share of frames that never arrive.
        pace_s: pauses are drawn from this span; a single number makes them all alike.
    """

    shift_s: float = 0.0
    kind: str = "flash"
    events: int = 16
    fps: float = 30.0
    exposure_s: float = 0.01
    tone: float = 1.0
    unseen: float = 0.0
    unheard: float = 0.0
    false_sights: int = 0
    false_sounds: int = 0
    picture_noise: float = 2.0
    sound_noise: float = 0.003
    jitter_s: float = 0.0
    lost: float = 0.0
    pace_s: tuple[float, float] = (0.9, 1.7)
    moving: bool = True
    seed: int = 0
    stamp_source: StampSource = StampSource.DRIVER
    start_s: float = field(default=1000.0)


def film(scene: Scene) -> tuple[PictureTrack, tuple[SoundPiece, ...]]:
    """Return what camera and microphone record of the scene."""
    random = np.random.default_rng(scene.seed)
    times_s = 1.0 + np.cumsum(random.uniform(*scene.pace_s, scene.events))
    duration_s = float(times_s[-1]) + 1.5
    seen_s = times_s[random.uniform(size=scene.events) >= scene.unseen]
    heard_s = times_s[random.uniform(size=scene.events) >= scene.unheard]
    seen_s = np.sort(np.append(seen_s, random.uniform(1, duration_s - 1, scene.false_sights)))
    heard_s = np.sort(np.append(heard_s, random.uniform(1, duration_s - 1, scene.false_sounds)))
    stamps_s = np.arange(random.uniform(0, 1 / scene.fps), duration_s, 1 / scene.fps)
    stamps_s = stamps_s + random.normal(0, scene.jitter_s, len(stamps_s))
    stamps_s = np.sort(stamps_s[random.uniform(size=len(stamps_s)) >= scene.lost])
    draw = _flashes if scene.kind == "flash" else _claps
    grey = draw(scene, stamps_s, seen_s, random)
    track = PictureTrack(
        stamps_ns=np.round((scene.start_s + stamps_s) * NS_PER_S).astype(np.int64),
        grey=np.clip(grey + random.normal(0, scene.picture_noise, grey.shape) + 0.5, 0, 255).astype(np.uint8),
        stamp_source=scene.stamp_source,
    )
    # The microphone records all along: what is shifted are its stamps.
    samples = _sounds(scene, heard_s, duration_s, random)
    start_ns = round((scene.start_s + scene.shift_s) * NS_PER_S)
    return track, (SoundPiece(samples=samples, start_ns=start_ns, rate_hz=float(RATE_HZ)),)


def _flashes(
    scene: Scene,
    stamps_s: NDArray[np.float64],
    seen_s: NDArray[np.float64],
    random: np.random.Generator,
    length_s: float = 0.1,
) -> NDArray[np.float32]:
    """A screen that flashes, before a wall, with something bright moving beside it."""
    height, width = 36, 48
    lit = np.zeros(len(stamps_s))
    for begin_s in seen_s:
        if scene.exposure_s == 0:
            lit += (begin_s <= stamps_s) & (stamps_s < begin_s + length_s)
            continue
        opens, closes = stamps_s - scene.exposure_s / 2, stamps_s + scene.exposure_s / 2
        overlap = np.minimum(closes, begin_s + length_s) - np.maximum(opens, begin_s)
        lit += np.clip(overlap, 0, None) / scene.exposure_s
    grey = np.repeat(random.uniform(30, 90, (1, height, width)), len(stamps_s), axis=0).astype(np.float32)
    grey[:, 6:24, 14:36] = (20 + 180 * np.minimum(lit, 1) ** scene.tone)[:, None, None]
    if scene.moving:
        for n, at in enumerate((20 + 18 * np.sin(2 * stamps_s)).astype(int)):
            grey[n, 27:34, at : at + 5] = 220
    return grey


def _claps(
    scene: Scene, stamps_s: NDArray[np.float64], seen_s: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.float32]:
    """Two hands that speed up until they meet, rest together a moment, and part again."""
    height, width, hand, apart = 96, 128, 7.0, 22.0
    moments = stamps_s[:, None] + np.linspace(-0.5, 0.5, SUBSAMPLES) * scene.exposure_s
    gap = np.full(moments.shape, apart)
    for begin_s in seen_s:
        reach, closing_s = apart * random.uniform(0.8, 1.2), random.uniform(0.16, 0.24)
        rest_s = random.uniform(0.05, 0.08)
        u = moments - begin_s
        closing = reach * (1 - np.clip(1 + u / closing_s, 0, 1) ** 2)
        parting = np.clip((u - rest_s) / 0.3, 0, 1)
        gap = np.minimum(gap, np.where(u < 0, closing, apart * (3 * parting**2 - 2 * parting**3)))
    columns, centre = np.arange(width), width / 2
    covered = np.zeros((*moments.shape, width), np.float32)
    for left in (centre - gap - hand, centre + gap):
        inside = np.minimum(columns + 1, (left + hand)[..., None]) - np.maximum(columns, left[..., None])
        covered = np.maximum(covered, np.clip(inside, 0, 1).astype(np.float32))
    wall = np.kron(random.uniform(60, 140, (12, 16)), np.ones((8, 8))).astype(np.float32)
    rows = np.abs(np.arange(height) - 0.6 * height) < 10
    mask = covered.mean(axis=1)[:, None, :] * rows[None, :, None]
    return wall + mask * (205 - wall)


def _sounds(
    scene: Scene, heard_s: NDArray[np.float64], duration_s: float, random: np.random.Generator
) -> NDArray[np.float32]:
    samples = random.normal(0, scene.sound_noise, round(duration_s * RATE_HZ))
    for begin_s in heard_s:
        first = int(np.ceil(begin_s * RATE_HZ))
        t = (first + np.arange(round(0.06 * RATE_HZ))) / RATE_HZ - begin_s
        t = t[: len(samples) - first]
        loudness = 0.4 * random.uniform(0.6, 1.2)
        if scene.kind == "flash":
            samples[first : first + len(t)] += loudness * np.sin(2 * np.pi * 2000 * t) * np.exp(-t / 0.03)
        else:
            samples[first : first + len(t)] += loudness * random.normal(0, 1, len(t)) * np.exp(-t / 0.01)
    return np.clip(samples, -1, 1).astype(np.float32)
