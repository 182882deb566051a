"""Clips of pictures: whole images seen through a moving camera, cut-outs on backgrounds, talkers."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from stream_avs.training.nano.assets import IGNORE, PERSON, Assets, Picture, Talker

CANVAS = (320, 426)
"""Height and width that talkers are put together at."""
Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class View:
    """A clip without sound.

    Attributes:
        frames: uint8 [T, H, W, 3]; T = 1 for a picture that does not change.
        ids: uint8 [T, H, W], VOC classes, 255 unknown.
    """

    frames: NDArray[np.uint8]
    ids: NDArray[np.uint8]


def still(assets: Assets, rng: np.random.Generator) -> View:
    """One picture, cut and lit by lot."""
    picture = assets.pictures[int(rng.integers(len(assets.pictures)))]
    rgb, ids = _crop(picture, _draw_box(picture, rng), rng.random() < 0.5)
    return View(frames=_lit(rgb, rng)[None], ids=ids[None])


def moving(assets: Assets, count: int, rng: np.random.Generator) -> View:
    """One picture through a camera that pans and zooms a little."""
    picture = assets.pictures[int(rng.integers(len(assets.pictures)))]
    x, y, w, h = _draw_box(picture, rng, largest=0.9)
    step = rng.uniform(-0.02, 0.02, 2) * np.array([w, h])
    zoom = 1 + rng.uniform(-0.012, 0.012)
    flip = rng.random() < 0.5
    frames, masks = [], []
    height, width = picture.ids.shape
    for k in range(count):
        wide, tall = min(w * zoom**k, width), min(h * zoom**k, height)
        left = float(np.clip(x + step[0] * k, 0, width - wide))
        top = float(np.clip(y + step[1] * k, 0, height - tall))
        rgb, ids = _crop(picture, (left, top, wide, tall), flip)
        frames.append(rgb)
        masks.append(ids)
    return View(frames=_noisy(_lit(np.stack(frames), rng), rng), ids=np.stack(masks))


def pasted(assets: Assets, count: int, rng: np.random.Generator) -> View:
    """One to three objects of pictures, moving over another picture."""
    base = assets.pictures[int(rng.integers(len(assets.pictures)))]
    rgb, ids = _crop(base, _draw_box(base, rng), rng.random() < 0.5, (320, 320))
    frames, masks = np.repeat(rgb[None], count, 0), np.repeat(ids[None], count, 0)
    for _ in range(int(rng.integers(1, 4))):
        found = _cutout(assets, rng)
        if found is None:
            continue
        sprite, inside, class_id = found
        place = np.array([rng.uniform(-0.1, 0.9), rng.uniform(0.1, 0.9)]) * 320
        speed = rng.uniform(-6, 6, 2) if rng.random() < 0.5 else np.zeros(2)
        for k in range(count):
            _paste(frames[k], masks[k], sprite, inside, place + k * speed, class_id)
    return View(frames=_noisy(_lit(frames, rng), rng), ids=masks)


def background(assets: Assets, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A picture without people, `CANVAS` large."""
    for _ in range(20):
        picture = assets.pictures[int(rng.integers(len(assets.pictures)))]
        box = _draw_box(picture, rng)
        rgb, ids = _crop(picture, box, rng.random() < 0.5, CANVAS)
        if not (ids == PERSON).any():
            blurred = cv2.GaussianBlur(rgb, (0, 0), 1.5) if rng.random() < 0.5 else rgb
            return np.asarray(blurred, np.uint8)
    return np.full((*CANVAS, 3), rng.integers(30, 220, 3), np.uint8)


def put_talker(
    frame: NDArray[np.uint8],
    ids: NDArray[np.uint8],
    talker: Talker,
    index: int,
    box: tuple[int, int, int, int],
    *,
    class_id: int,
    keep_backdrop: bool,
    mirrored: bool,
) -> None:
    """Put a frame of a talker into a box (x, y, width, height) of `frame`, in place.

    Args:
        frame: uint8 [H, W, 3].
        ids: uint8 [H, W], gets `class_id` where the talker is.
        talker: who.
        index: frame of the clip.
        box: may reach over the edges.
        class_id: value for `ids`.
        keep_backdrop: show the blue screen too.
        mirrored: left and right swapped.
    """
    rgb = cv2.resize(talker.frames[index], box[2:], interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(talker.masks[index].astype(np.float32), box[2:], interpolation=cv2.INTER_AREA)
    if mirrored:
        rgb, alpha = rgb[:, ::-1], alpha[:, ::-1]
    x, y, w, h = box
    height, width = ids.shape
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + w, width), min(y + h, height)
    inner = (slice(top - y, bottom - y), slice(left - x, right - x))
    outer = (slice(top, bottom), slice(left, right))
    cover = np.ones_like(alpha[inner]) if keep_backdrop else alpha[inner]
    mixed = frame[outer] * (1 - cover[..., None]) + rgb[inner] * cover[..., None]
    frame[outer] = np.round(mixed).astype(np.uint8)
    ids[outer] = np.where(alpha[inner] > 0.5, class_id, np.where(cover > 0.5, 0, ids[outer]))


def finish(frames: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Light and sensor noise for a put-together clip."""
    return _noisy(_lit(frames, rng), rng)


def _draw_box(picture: Picture, rng: np.random.Generator, largest: float = 1.0) -> Box:
    """A box (x, y, w, h) with an aspect of 0.7 to 1.8, at an object if it is a small one."""
    height, width = picture.ids.shape
    share = rng.uniform(0.35, largest) if rng.random() < 0.6 else largest
    aspect = float(np.exp(rng.uniform(np.log(0.7), np.log(1.8))))
    w = min(width, share * np.sqrt(height * width * aspect))
    h = min(height, share * np.sqrt(height * width / aspect))
    ys, xs = np.nonzero((picture.ids > 0) & (picture.ids < IGNORE))
    if len(xs):
        k = int(rng.integers(len(xs)))
        centre = xs[k] + rng.uniform(-0.4, 0.4) * w, ys[k] + rng.uniform(-0.4, 0.4) * h
    else:
        centre = rng.uniform(0, width), rng.uniform(0, height)
    return (
        float(np.clip(centre[0] - w / 2, 0, width - w)),
        float(np.clip(centre[1] - h / 2, 0, height - h)),
        w,
        h,
    )


def _crop(
    picture: Picture, box: Box, flip: bool, size: tuple[int, int] = (320, 320)
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    x, y, w, h = box
    sx, sy = w / size[1], h / size[0]
    matrix = np.array([[sx, 0, x + 0.5 * sx - 0.5], [0, sy, y + 0.5 * sy - 0.5]], np.float64)
    way = cv2.INTER_AREA if sx > 1 else cv2.INTER_LINEAR
    cut = picture.rgb[int(y) : int(np.ceil(y + h)), int(x) : int(np.ceil(x + w))]
    if sx > 1.2:
        rgb = cv2.resize(cut, size[::-1], interpolation=way)
    else:
        rgb = cv2.warpAffine(
            picture.rgb,
            matrix,
            size[::-1],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    ids = cv2.warpAffine(
        picture.ids,
        matrix,
        size[::-1],
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if flip:
        rgb, ids = rgb[:, ::-1], ids[:, ::-1]
    return np.ascontiguousarray(rgb), np.ascontiguousarray(ids)


def _cutout(
    assets: Assets, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32], int] | None:
    classes = sorted({int(c) for p in assets.pictures for c in np.unique(p.ids)} - {0, IGNORE})
    class_id = int(rng.choice(classes))
    options = [p for p in assets.pictures if (p.ids == class_id).any()]
    picture = options[int(rng.integers(len(options)))]
    _, labels, stats, _ = cv2.connectedComponentsWithStats((picture.ids == class_id).astype(np.uint8))
    number = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    x, y, w, h, area = (int(v) for v in stats[number])
    if area < 1500 or min(w, h) < 24:
        return None
    side = rng.uniform(70, 230) / max(w, h)
    size = (max(8, round(w * side)), max(8, round(h * side)))
    rgb = cv2.resize(picture.rgb[y : y + h, x : x + w], size, interpolation=cv2.INTER_AREA)
    inside = cv2.resize(
        (labels[y : y + h, x : x + w] == number).astype(np.float32), size, interpolation=cv2.INTER_AREA
    )
    if rng.random() < 0.5:
        rgb, inside = rgb[:, ::-1], inside[:, ::-1]
    return np.asarray(rgb, np.uint8), np.asarray(inside, np.float32), class_id


def _paste(
    frame: NDArray[np.uint8],
    ids: NDArray[np.uint8],
    sprite: NDArray[np.uint8],
    inside: NDArray[np.float32],
    place: NDArray[np.float64],
    class_id: int,
) -> None:
    x, y = (int(v) for v in np.round(place - np.array(inside.shape[::-1]) / 2))
    h, w = inside.shape
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + w, ids.shape[1]), min(y + h, ids.shape[0])
    if right <= left or bottom <= top:
        return
    inner = (slice(top - y, bottom - y), slice(left - x, right - x))
    outer = (slice(top, bottom), slice(left, right))
    alpha = inside[inner][..., None]
    frame[outer] = np.round(frame[outer] * (1 - alpha) + sprite[inner] * alpha).astype(np.uint8)
    ids[outer] = np.where(inside[inner] > 0.5, class_id, ids[outer])


def _lit(rgb: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    gain = rng.uniform(0.7, 1.25) * rng.uniform(0.94, 1.06, 3)
    values = rgb.astype(np.float32) * gain.astype(np.float32) + np.float32(rng.uniform(-12, 12))
    if rng.random() < 0.08:
        values = np.repeat(values.mean(-1, keepdims=True), 3, -1)
    return np.clip(values, 0, 255).astype(np.uint8)


def _noisy(frames: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    if rng.random() < 0.3:
        return frames
    sigma = np.float32(rng.uniform(0.5, 4.0))
    noise = rng.standard_normal(frames.shape[:3], dtype=np.float32)[..., None] * sigma
    return np.clip(frames + noise, 0, 255).astype(np.uint8)
