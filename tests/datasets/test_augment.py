"""Augmentation: one draw per clip, masks follow frames, class ids stay class ids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_avs.datasets.augment import (
    AugmentConfig,
    augment,
    center_crop_clip,
    distort,
    resize_clip,
)
from stream_avs.datasets.sample import ClipSample
from stream_avs.errors import ConfigError

NONE = AugmentConfig(size_px=48, p_flip=0.0, p_distort=0.0, p_crop=0.0)
CONFIG = AugmentConfig(size_px=48)


def clip(height: int = 40, width: int = 60, frames: int = 5) -> ClipSample:
    """Every frame is the same: a marked square of class 7 left of the middle, on a gradient."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(40, 120, width).astype(np.uint8)
    image[..., 1] = 90
    image[10:20, 5:15] = (250, 200, 30)
    mask = np.zeros((height, width), np.uint8)
    mask[10:20, 5:15] = 7
    return ClipSample(
        name="a", category="", split="train",
        frames=np.stack([image] * frames), masks=np.stack([mask] * frames),
        mask_valid=np.ones(frames, bool), frame_valid=np.arange(frames) < 4,
        frame_times_s=np.arange(frames, dtype=np.float64),
        waveform=np.zeros(100, np.float32), sample_rate_hz=100,
    )  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.integers(16, 90), st.integers(16, 90))
def test_frames_of_a_clip_stay_alike_and_ids_stay_ids(seed: int, height: int, width: int) -> None:
    out = augment(clip(height, width), CONFIG, np.random.default_rng(seed))
    assert out.frames.shape == (5, 48, 48, 3)
    assert out.masks.shape == (5, 48, 48)
    assert (out.frames[:4] == out.frames[0]).all()  # one draw for all
    assert (out.masks == out.masks[0]).all()
    assert not out.frames[4].any()  # padding stays zero
    assert set(np.unique(out.masks)) <= {0, 7}
    np.testing.assert_array_equal(out.waveform, clip().waveform)


def test_the_same_generator_gives_the_same_clip() -> None:
    outs = [augment(clip(), CONFIG, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(outs[0].frames, outs[1].frames)
    assert (outs[0].frames != outs[2].frames).any()


def test_nothing_drawn_is_a_resize() -> None:
    out = augment(clip(), NONE, np.random.default_rng(0))
    np.testing.assert_array_equal(out.frames[:4], resize_clip(clip(), 48).frames[:4])


def test_a_flip_mirrors_frames_and_masks() -> None:
    plain = augment(clip(), NONE, np.random.default_rng(0))
    mirrored = augment(clip(), replace(NONE, p_flip=1.0), np.random.default_rng(0))
    np.testing.assert_array_equal(mirrored.frames, plain.frames[:, :, ::-1])
    np.testing.assert_array_equal(mirrored.masks, plain.masks[:, :, ::-1])


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32))
def test_masks_stay_on_their_object(seed: int) -> None:
    config = replace(CONFIG, p_distort=0.0, p_crop=1.0)
    out = augment(clip(400, 600), config, np.random.default_rng(seed))
    marked = out.frames[0, ..., 0] > 185  # half way from the gradient to the square
    assert (marked != (out.masks[0] > 0)).mean() < 0.03  # but for a pixel at the edges


def test_crops_have_the_sides_of_the_recipe() -> None:
    # The shorter side, 200, is scaled to 400, 500 or 600; the crop is 384..600 of that.
    config = replace(NONE, p_crop=1.0)
    shares = []
    for seed in range(200):
        sample = clip(200, 200)
        sample = replace(sample, masks=np.arange(200 * 200, dtype=np.uint8).reshape(1, 200, 200).repeat(5, 0))
        columns = np.tile(np.arange(200, dtype=np.uint8), (5, 200, 1))
        out = augment(replace(sample, masks=columns), config, np.random.default_rng(seed))
        shares.append((int(out.masks.max()) - int(out.masks.min()) + 1) / 200)
    assert min(shares) >= 384 / 600 - 0.03
    assert max(shares) <= 1.0
    assert np.std(shares) > 0.05


def test_colours_change_by_no_more_than_asked() -> None:
    grey = np.full((2, 4, 4, 3), 100, np.uint8)
    config = AugmentConfig(p_distort=1.0, brightness=32, contrast=0.5)
    means = [distort(grey, config, np.random.default_rng(k)).mean() for k in range(300)]
    # (100 ± 32) · (1 ± 0.5); grey has no hue and no saturation to change.
    assert min(means) >= 68 * 0.5 - 2
    assert max(means) <= 132 * 1.5 + 2
    assert min(means) < 50
    assert max(means) > 150


def test_hue_turns_and_channels_swap() -> None:
    red = np.zeros((1, 2, 2, 3), np.uint8)
    red[..., 0] = 200
    only_hue = AugmentConfig(p_distort=1.0, brightness=0, contrast=0, hue_deg=18)
    seen = {tuple(distort(red, only_hue, np.random.default_rng(k))[0, 0, 0].argsort()) for k in range(50)}
    assert len(seen) > 2  # the strongest channel moves with the order
    turned = distort(red, only_hue, np.random.default_rng(1))[0, 0, 0]
    # 18 degrees of 60 towards the next primary: at most 0.3 of the strongest channel.
    assert np.sort(turned)[1] <= 0.32 * np.sort(turned)[2]


def test_no_distortion_is_the_same_picture() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 5, 6, 3), dtype=np.uint8)
    np.testing.assert_array_equal(distort(frames, NONE, np.random.default_rng(0)), frames)


def test_the_middle_is_kept() -> None:
    out = center_crop_clip(clip(40, 80), 20)
    assert out.frames.shape == (5, 20, 20, 3)
    assert not out.masks.any()  # the square, at the left, is outside the middle
    wide = replace(clip(40, 80), masks=np.tile(np.arange(80, dtype=np.uint8), (5, 40, 1)))
    columns = center_crop_clip(wide, 20).masks[0, 0]
    assert columns.min() >= 20
    assert columns.max() < 60


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p_flip": 2.0}, "p_flip is 2"),
        ({"size_px": 8}, "size_px is 8"),
        ({"crop_min_px": 700}, "crop_min_px"),
    ],
)
def test_settings_out_of_range_are_named(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(CONFIG, **change)
