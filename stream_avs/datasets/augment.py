"""Flip, colours, crop and size of a clip: drawn once per clip, the same for all its frames.

The published recipe distorts every frame of a clip differently, which shakes what does not move;
here one draw serves the whole clip. The sound stays as it is: mono has no left and right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from stream_avs.config import require
from stream_avs.datasets.sample import ClipSample


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """The paper's recipe; sides are those of DETR-family training."""

    size_px: int = 512
    """Side of the square frames that come out."""
    p_flip: float = 0.5
    """Mirror left and right."""
    p_distort: float = 0.5
    """Each of brightness, contrast, saturation, hue and channel order, by itself."""
    brightness: float = 32.0
    """Largest change of brightness, of 255."""
    contrast: float = 0.5
    """Contrast and saturation are scaled by 1 - contrast .. 1 + contrast."""
    hue_deg: float = 18.0
    """Largest turn of the hue, of 360 degrees."""
    p_crop: float = 0.5
    """Cut a part out rather than use the whole frame."""
    short_sides_px: tuple[int, ...] = (400, 500, 600)
    """Before cropping, the shorter side is scaled to one of these."""
    crop_min_px: int = 384
    """Shortest side of a crop, at that scale."""
    crop_max_px: int = 600
    """Longest side of a crop, at that scale."""

    def __post_init__(self) -> None:
        require(16 <= self.size_px <= 2048, "augment.size_px", self.size_px, "16..2048 px")
        for name in ("p_flip", "p_distort", "p_crop"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"augment.{name}", value, "a probability")
        require(0 <= self.brightness <= 255, "augment.brightness", self.brightness, "0..255")
        require(0 <= self.contrast < 1, "augment.contrast", self.contrast, "[0, 1)")
        require(0 <= self.hue_deg <= 180, "augment.hue_deg", self.hue_deg, "0..180 degrees")
        sides = self.short_sides_px
        require(bool(sides) and min(sides) > 0, "augment.short_sides_px", sides, "positive sides")
        low, high = self.crop_min_px, self.crop_max_px
        require(0 < low <= high, "augment.crop_min_px", low, "1..crop_max_px")


def augment(sample: ClipSample, config: AugmentConfig, rng: np.random.Generator) -> ClipSample:
    """Return a changed copy of a training clip at `config.size_px`; padded frames stay zero.

    Masks follow the frames, resized to the nearest pixel so that class ids stay class ids.
    """
    frames, masks = sample.frames, sample.masks
    if rng.random() < config.p_crop:
        window = _crop_window(frames.shape[1:3], config, rng)
        frames, masks = frames[:, *window], masks[:, *window]
    frames, masks = resize_frames(frames, config.size_px), resize_masks(masks, config.size_px)
    if rng.random() < config.p_flip:
        frames, masks = frames[:, :, ::-1], masks[:, :, ::-1]
    frames = distort(np.ascontiguousarray(frames), config, rng)
    frames[~sample.frame_valid] = 0
    return replace(sample, frames=frames, masks=np.ascontiguousarray(masks))


def resize_clip(sample: ClipSample, size_px: int) -> ClipSample:
    """Squeeze a clip to a square of `size_px` (evaluation); frames bilinear, masks nearest."""
    return replace(
        sample, frames=resize_frames(sample.frames, size_px), masks=resize_masks(sample.masks, size_px)
    )


def center_crop_clip(sample: ClipSample, size_px: int) -> ClipSample:
    """Scale the shorter side to `size_px` and keep the middle square (AVSS training)."""
    _, H, W = sample.masks.shape
    side = min(H, W)
    y, x = (H - side) // 2, (W - side) // 2
    window = (slice(None), slice(y, y + side), slice(x, x + side))
    return resize_clip(replace(sample, frames=sample.frames[window], masks=sample.masks[window]), size_px)


def distort(frames: NDArray[np.uint8], config: AugmentConfig, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Change brightness, contrast, saturation, hue and channel order as SSD training does.

    Contrast comes before or after the other colours, by lot.

    Args:
        frames: uint8 [T, H, W, 3], RGB.
        config: how far.
        rng: what decides.

    Returns:
        uint8 [T, H, W, 3], a new array.
    """
    T, H, W, _ = frames.shape
    image: NDArray[np.uint8] = frames.reshape(
        T * H, W, 3
    )  # one picture for OpenCV, so that all frames change alike

    def chance() -> bool:
        return bool(rng.random() < config.p_distort)

    def scale() -> float:
        return float(rng.uniform(1 - config.contrast, 1 + config.contrast))

    brightness = rng.uniform(-config.brightness, config.brightness) if chance() else 0.0
    contrast = scale() if chance() else 1.0
    saturation = scale() if chance() else 1.0
    hue_deg = rng.uniform(-config.hue_deg, config.hue_deg) if chance() else 0.0
    contrast_first = rng.random() < 0.5
    order = rng.permutation(3) if chance() else np.arange(3)

    if contrast_first:
        image = _linear(image, contrast, brightness * contrast)
    else:
        image = _linear(image, 1.0, brightness)
    if saturation != 1.0 or hue_deg != 0.0:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
        turned = np.arange(256) + round(hue_deg * 256 / 360)
        stretched = np.clip(np.arange(256) * saturation, 0, 255)
        tables = np.stack([turned % 256, stretched, np.arange(256)], axis=-1).astype(np.uint8)
        image = np.asarray(cv2.cvtColor(cv2.LUT(hsv, tables[None]), cv2.COLOR_HSV2RGB_FULL), np.uint8)
    if not contrast_first:
        image = _linear(image, contrast, 0.0)
    return np.array(image[..., order], np.uint8, order="C").reshape(T, H, W, 3)


def resize_frames(frames: NDArray[np.uint8], size_px: int) -> NDArray[np.uint8]:
    """Resize frames, uint8 [T, H, W, 3] -> [T, size, size, 3]; averaging when they shrink."""
    size, (H, W) = (size_px, size_px), frames.shape[1:3]
    if size == (H, W):
        return frames
    way = cv2.INTER_AREA if size_px < H and size_px < W else cv2.INTER_LINEAR
    return np.stack([cv2.resize(frame, size, interpolation=way) for frame in frames])


def resize_masks(masks: NDArray[np.uint8], size_px: int) -> NDArray[np.uint8]:
    """Resize class ids to the nearest pixel, uint8 [T, H, W] -> [T, size, size]."""
    if masks.shape[1:] == (size_px, size_px):
        return masks
    size = (size_px, size_px)
    return np.stack([cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT) for mask in masks])


def _crop_window(
    shape: tuple[int, ...], config: AugmentConfig, rng: np.random.Generator
) -> tuple[slice, slice]:
    """Draw a crop in source pixels, as if the shorter side had first been scaled."""
    H, W = shape
    scale = config.short_sides_px[int(rng.integers(len(config.short_sides_px)))] / min(H, W)
    window = []
    for side in (H, W):
        scaled = side * scale
        longest = min(config.crop_max_px, scaled)
        length = rng.uniform(min(config.crop_min_px, longest), longest) / scale
        length_px = min(max(round(length), 1), side)
        start = int(rng.integers(side - length_px + 1))
        window.append(slice(start, start + length_px))
    return window[0], window[1]


def _linear(image: NDArray[np.uint8], gain: float, offset: float) -> NDArray[np.uint8]:
    if gain == 1.0 and offset == 0.0:
        return image
    table = np.clip(np.arange(256) * gain + offset, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table), np.uint8)
