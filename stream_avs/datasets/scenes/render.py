"""Draw and sound a planned scene."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_avs.datasets.scenes.plan import NOISE, SceneObject, ScenePlan, reflect
from stream_avs.datasets.scenes.source import SceneSource

FADE_S = 0.005
"""Sounds begin and end over this time, so that they do not click."""
_FULL_SCALE = 32768.0


def render_frame(plan: ScenePlan, time_s: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw the picture at one time.

    Returns:
        image: uint8 [S, S, 3], RGB.
        owner: uint8 [S, S], 0 where no object is in front, k + 1 where `plan.objects[k]` is.
    """
    image, owner = _render_background(plan, time_s)
    for number, thing in enumerate(plan.objects, start=1):
        if thing.sprite is not None:
            _paste(image, owner, thing, number, time_s)
    return image, owner


def mask_of(plan: ScenePlan, owner: NDArray[np.uint8], time_s: float) -> NDArray[np.uint8]:
    """Keep the objects that sound: uint8 [S, S] class ids, 0 = not sounding."""
    table = np.zeros(len(plan.objects) + 1, np.uint8)
    for index in plan.sounding(time_s):
        table[index + 1] = plan.objects[index].class_id
    return table[owner]


def render_audio(plan: ScenePlan, source: SceneSource) -> NDArray[np.float32]:
    """Mix all sounds: float32 [n] in [-1, 1], on the 16-bit grid so that a wav file keeps it exactly."""
    rate = plan.sample_rate_hz
    mix = np.zeros(round(plan.duration_s * rate), np.float32)
    for event in plan.events:
        start, end = round(event.start_s * rate), min(round(event.end_s * rate), mix.size)
        if end <= start:
            continue
        rng = np.random.default_rng(event.seed)
        if event.class_id == NOISE:
            sound = coloured_noise(end - start, rng)
        else:
            sound = source.sound(event.class_id, end - start, rate, rng)
        mix[start:end] += _faded(sound, round(FADE_S * rate)) * np.float32(10 ** (event.level_db / 20))
    peak = float(np.abs(mix).max(initial=0.0))
    if peak > 0.99:
        mix *= np.float32(0.99 / peak)
    return np.round(mix * _FULL_SCALE).astype(np.float32) / np.float32(_FULL_SCALE)


def coloured_noise(samples: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Make noise between white and brown, float32 [samples], RMS 1."""
    spectrum = np.fft.rfft(rng.standard_normal(samples, dtype=np.float32))
    spectrum /= np.arange(1, len(spectrum) + 1) ** (rng.uniform(0.0, 2.0) / 2)
    noise = np.fft.irfft(spectrum, samples).astype(np.float32)
    return noise / max(float(np.sqrt(np.mean(noise**2))), 1e-9)


def _render_background(plan: ScenePlan, time_s: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    size, rgb = plan.size_px, plan.background.rgb
    x = reflect(plan.pan_px_s[0] * time_s, rgb.shape[1] - size)
    y = reflect(plan.pan_px_s[1] * time_s, rgb.shape[0] - size)
    window = (slice(y, y + size), slice(x, x + size))
    table = np.zeros(256, np.uint8)
    for number, thing in enumerate(plan.objects, start=1):
        if thing.sprite is None:
            table[thing.class_id] = number
    return rgb[window].copy(), table[plan.background.classes[window]]


def _paste(
    image: NDArray[np.uint8], owner: NDArray[np.uint8], thing: SceneObject, number: int, time_s: float
) -> None:
    assert thing.sprite is not None
    x, y = thing.position_px(time_s, len(image))
    alpha = thing.sprite.alpha
    window = (slice(y, y + alpha.shape[0]), slice(x, x + alpha.shape[1]))
    weight = alpha[..., None].astype(np.uint16)
    below = image[window]
    blend = thing.sprite.rgb * weight + below * (255 - weight) + 127
    image[window] = (blend // 255).astype(np.uint8)
    owner[window] = np.where(alpha >= 128, np.uint8(number), owner[window])


def _faded(sound: NDArray[np.float32], fade: int) -> NDArray[np.float32]:
    fade = min(fade, sound.size // 2)
    if fade == 0:
        return sound
    ramp = np.linspace(0, 1, fade, endpoint=False, dtype=np.float32)
    faded = sound.copy()
    faded[:fade] *= ramp
    faded[-fade:] *= ramp[::-1]
    return faded
