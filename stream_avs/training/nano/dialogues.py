"""Streams of two people of whom one is heard, long enough to find out which: who speaks?

The one who is heard says whole GRID clips, pauses included. The other rests, or says something else
without a voice, or is a cut-out of a picture. Camera and people sway, and people deform as if they moved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from stream_avs.training.nano import pictures
from stream_avs.training.nano.assets import IGNORE, PERSON, RATE_HZ, Assets, Talker
from stream_avs.training.nano.exam import SCORED_PX, SPACING_S, Stream
from stream_avs.training.nano.sounds import CONTEXT, draw_noise
from stream_avs.training.nano.talkers import FPS, SILENT_MARGIN

KINDS = ("rests", "mouths", "picture")
"""What the other one does."""
FRAMES = 32
SIDE_PX = 320
_MARGIN_PX = 20
_UNCLEAR_S = 0.15
"""Around the ends of a sentence it cannot be told whether somebody speaks."""
_CUTOUT_LEAST_PX = (4000, 80)
"""Area and height."""

Shift = Callable[[float], float]
Field = Callable[[float], tuple[NDArray[np.float32], NDArray[np.float32]]]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Figure:
    """Somebody in the scene: picture and cover at a time, place, and movements."""

    look: Callable[[float], tuple[NDArray[np.uint8], NDArray[np.float32]]]
    box: tuple[float, float, float, float]
    sway: tuple[Shift, Shift, Shift]
    deform: Field


def draw_dialogues(assets: Assets, kind: str, count: int, seed: int) -> list[Stream]:
    """Draw `count` streams of one kind."""
    number = KINDS.index(kind)
    return [draw_dialogue(assets, kind, np.random.default_rng((seed, number, k))) for k in range(count)]


def draw_dialogue(assets: Assets, kind: str, rng: np.random.Generator, frames: int = FRAMES) -> Stream:
    """Draw one stream, `SPACING_S` between frames; `kind` is one of `KINDS`."""
    order = [assets.talkers[int(i)] for i in rng.permutation(len(assets.talkers))]
    speaker, other = order[0], order[-1]
    phase = rng.uniform(0, _length_s(speaker))
    times = np.arange(frames, dtype=np.float64) * SPACING_S
    figures = _figures(assets, kind, speaker, other, phase, rng)
    camera = _wobble(rng, 4.0), _wobble(rng, 3.0)
    wide = SIDE_PX + 2 * _MARGIN_PX
    base = np.asarray(cv2.resize(pictures.background(assets, rng), (wide, wide)), np.uint8)
    images, targets = [], []
    for time in (float(t) for t in times):
        image, owner = _render(base, figures, (camera[0](time), camera[1](time)), time)
        images.append(image)
        targets.append(_target(owner, speaker, phase + time))
    finished = pictures.finish(np.stack(images), rng)
    return Stream(
        images=list(finished),
        contexts=_contexts(assets, speaker, phase, times, rng),
        target=np.stack(targets),
        kinds=["two"] * frames,
        switched=np.zeros(frames, np.bool_),
    )


def _figures(
    assets: Assets, kind: str, speaker: Talker, other: Talker, phase: float, rng: np.random.Generator
) -> list[_Figure]:
    height = SIDE_PX * rng.uniform(0.45, 0.75)
    width = 1.25 * height * rng.uniform(0.7, 1.2)
    top = SIDE_PX - height * rng.uniform(0.85, 1.0)
    lefts = [rng.uniform(-0.25, -0.1) * width, SIDE_PX - width * rng.uniform(0.75, 0.9)]
    if rng.random() < 0.5:
        lefts.reverse()
    shift = rng.uniform(0.5, _length_s(other) - 0.5)
    looks = [_talking(speaker, phase, mirrored=bool(rng.random() < 0.5))]
    boxes = [(lefts[0], top, width, height)]
    if kind == "picture":
        rgb, cover = _cutout(assets, rng)
        looks.append(lambda _time: (rgb, cover))
        wide = 0.8 * height * cover.shape[1] / cover.shape[0]
        boxes.append((lefts[1] + 0.3 * width, top, wide, 0.8 * height))
    else:
        drawn = _talking if kind == "mouths" else _resting
        looks.append(drawn(other, phase + shift, mirrored=bool(rng.random() < 0.5)))
        boxes.append((lefts[1], top, width, height))
    return [
        _Figure(
            look=look,
            box=box,
            sway=(_wobble(rng, 6.0), _wobble(rng, 4.0), _wobble(rng, 0.03)),
            deform=_deformation(rng, 5.0 if rng.random() < 0.6 else 0.0, (box[0], box[1])),
        )
        for look, box in zip(looks, boxes, strict=True)
    ]


def _talking(
    talker: Talker, phase: float, *, mirrored: bool
) -> Callable[[float], tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    def look(time_s: float) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        return _frame(talker, int((time_s + phase) * FPS) % len(talker.frames), mirrored)

    return look


def _resting(
    talker: Talker, phase: float, *, mirrored: bool
) -> Callable[[float], tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    first, last = talker.speech
    before = list(range(max(1, first - SILENT_MARGIN)))
    after = list(range(min(len(talker.frames) - 1, last + 1 + SILENT_MARGIN), len(talker.frames)))
    rest = max(before, after, key=len)
    loop = rest + rest[-2:0:-1]

    def look(time_s: float) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        return _frame(talker, loop[int((time_s + phase) * FPS) % len(loop)], mirrored)

    return look


def _frame(talker: Talker, index: int, mirrored: bool) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    rgb, cover = talker.frames[index], talker.masks[index].astype(np.float32)
    return (rgb[:, ::-1].copy(), cover[:, ::-1].copy()) if mirrored else (rgb, cover)


def _render(
    base: NDArray[np.uint8], figures: list[_Figure], camera: tuple[float, float], time_s: float
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """One picture, and who is where (1 is the speaker)."""
    side = (SIDE_PX, SIDE_PX)
    move = np.array([[1, 0, camera[0] - _MARGIN_PX], [0, 1, camera[1] - _MARGIN_PX]], np.float64)
    image = cv2.warpAffine(base, move, side).astype(np.float32)
    owner = np.zeros(side, np.uint8)
    for number, figure in enumerate(figures, start=1):
        rgb, cover = figure.look(time_s)
        left, top, w, h = figure.box
        scale = 1 + figure.sway[2](time_s)
        size = (max(4, round(w * scale)), max(4, round(h * scale)))
        place = (left + figure.sway[0](time_s) + camera[0], top + figure.sway[1](time_s) + camera[1])
        shift = np.array([[1, 0, place[0]], [0, 1, place[1]]], np.float64)
        grid = figure.deform(time_s)
        colour, inside = (
            cv2.remap(cv2.warpAffine(layer, shift, side), *grid, cv2.INTER_LINEAR)
            for layer in (cv2.resize(x, size, interpolation=cv2.INTER_AREA) for x in (rgb, cover))
        )
        image = image * (1 - inside[..., None]) + colour * inside[..., None]
        owner[inside > 0.5] = number
    return np.round(image).astype(np.uint8), owner


def _target(owner: NDArray[np.uint8], speaker: Talker, time_s: float) -> NDArray[np.uint8]:
    first, last = (f / FPS for f in speaker.speech)
    at = time_s % _length_s(speaker)
    value = PERSON if first + _UNCLEAR_S < at < last - _UNCLEAR_S else 0
    if min(abs(at - first), abs(at - last)) <= _UNCLEAR_S:
        value = IGNORE
    target = np.where(owner == 1, value, 0).astype(np.uint8)
    size = (SCORED_PX, SCORED_PX)
    return np.asarray(cv2.resize(target, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def _contexts(
    assets: Assets, speaker: Talker, phase: float, times: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float32]:
    count = CONTEXT + round(float(times[-1]) * RATE_HZ) + 1
    loop = round(_length_s(speaker) * RATE_HZ)
    clip = np.pad(speaker.audio, (0, max(0, loop - len(speaker.audio))))[:loop]
    start = round(phase * RATE_HZ) - CONTEXT
    gain = float(10 ** rng.uniform(-0.5, 0.2))
    sound = clip[(start + np.arange(count)) % loop] * np.float32(gain)
    sound = np.clip(sound + draw_noise(assets, count, 0.03 * gain, rng), -1, 1).astype(np.float32)
    ends = CONTEXT + np.round(times * RATE_HZ).astype(int)
    return np.stack([sound[end - CONTEXT : end] for end in ends])


def _cutout(assets: Assets, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A person from a picture, whole or not."""
    area, height = _CUTOUT_LEAST_PX
    found = []
    for picture in assets.pictures:
        _, labels, stats, _ = cv2.connectedComponentsWithStats((picture.ids == PERSON).astype(np.uint8))
        for k, (x, y, w, h, covered) in enumerate(stats[1:], start=1):
            if covered > area and h > height:
                part = (slice(y, y + h), slice(x, x + w))
                found.append((picture.rgb[part], (labels[part] == k).astype(np.float32)))
    return found[int(rng.integers(len(found)))]


def _wobble(rng: np.random.Generator, most: float) -> Shift:
    rate, phase = rng.uniform(0.1, 0.9, 2), rng.uniform(0, 2 * np.pi, 2)
    size = most * rng.uniform(0, 1) ** 2 * rng.normal(size=2)
    return lambda time_s: float((size * np.sin(2 * np.pi * rate * time_s + phase)).sum())


def _deformation(rng: np.random.Generator, most_px: float, origin: tuple[float, float]) -> Field:
    """Maps x and y [H, W] for cv2.remap, which bend slowly."""
    ys, xs = np.mgrid[0:SIDE_PX, 0:SIDE_PX].astype(np.float32)
    wave = 0.02 * rng.normal(size=(2, 2, 2))
    rate, phase = rng.uniform(0.3, 2.5, (2, 2)), rng.uniform(0, 2 * np.pi, (2, 2))
    size = most_px * rng.uniform(0, 1, (2, 2)) ** 2

    def grid(time_s: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        moved = []
        for axis, places in enumerate((xs, ys)):
            shift = np.zeros_like(places)
            for k in range(2):
                along = wave[axis, k, 0] * (xs - origin[0]) + wave[axis, k, 1] * (ys - origin[1])
                shift += size[axis, k] * np.sin(along + 2 * np.pi * rate[axis, k] * time_s + phase[axis, k])
            moved.append((places + shift).astype(np.float32))
        return moved[0], moved[1]

    return grid


def _length_s(talker: Talker) -> float:
    return len(talker.frames) / FPS
