"""Sound tracks for clips: who sounds when, over noise, at all levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_avs.models.nano.config import CONTEXT_S
from stream_avs.training.nano.assets import RATE_HZ, SOUND_CLASSES, Assets

CONTEXT = round(CONTEXT_S * RATE_HZ)
FADE = 640
TAIL_S = 0.08
"""A sound that ended less than this ago may still count or not: such frames are not scored."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Track:
    """The sound of one clip.

    Attributes:
        contexts: float32 [T, 64000], 2 s that end at each frame.
        heard: int8 [T, 21], by VOC id: 1 sounds, 0 does not, -1 cannot be told.
    """

    contexts: NDArray[np.float32]
    heard: NDArray[np.int8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One sound from `start_s` to `end_s`, seconds from the start of the track."""

    folder: str
    start_s: float
    end_s: float
    gain: float


def frame_times_s(count: int, spacing_s: float) -> NDArray[np.float64]:
    """Times of the frames on a track whose first 2 s lie before the first frame."""
    return CONTEXT_S + np.arange(count, dtype=np.float64) * spacing_s


def draw_track(assets: Assets, count: int, spacing_s: float, rng: np.random.Generator) -> Track:
    """Draw the sound of a clip by lot."""
    times = frame_times_s(count, spacing_s)
    events = draw_events(assets, float(times[0]), float(times[-1]), rng)
    return render_track(assets, events, times, rng)


def draw_events(assets: Assets, first_s: float, last_s: float, rng: np.random.Generator) -> list[Event]:
    """Draw what sounds when."""

    def event(start_s: float, end_s: float) -> Event:
        folder = str(rng.choice(assets.class_folders))
        return Event(folder=folder, start_s=start_s, end_s=end_s, gain=float(10 ** rng.uniform(-0.4, 0.2)))

    end_s, inside = last_s + 1.0, rng.uniform(first_s - 0.1, last_s)
    kind = rng.choice(
        ["steady", "young", "onset", "ended", "offset", "switch", "pause", "two", "none"],
        p=[0.27, 0.10, 0.10, 0.13, 0.10, 0.10, 0.05, 0.05, 0.10],
    )
    if kind == "steady":
        return [event(-1.0, end_s)]
    if kind == "young":
        return [event(first_s - rng.uniform(0.15, 1.0), end_s)]
    if kind == "onset":
        return [event(inside, end_s)]
    if kind == "ended":
        return [event(-1.0, first_s - rng.uniform(0.1, 1.6))]
    if kind == "offset":
        return [event(-1.0, inside)]
    if kind == "switch":
        return [event(-1.0, inside), event(inside + rng.uniform(0, 0.2), end_s)]
    if kind == "pause":
        return [event(-1.0, first_s - rng.uniform(0.4, 1.2)), event(inside, end_s)]
    if kind == "two":
        return [event(-1.0, end_s), event(-1.0, inside if rng.random() < 0.5 else end_s)]
    return []


def render_track(
    assets: Assets,
    events: list[Event],
    times_s: NDArray[np.float64],
    rng: np.random.Generator,
    voice: NDArray[np.float32] | None = None,
) -> Track:
    """Mix events, a voice and noise.

    Args:
        assets: of the split.
        events: what sounds when.
        times_s: of the frames, from the start of the track.
        rng: decides takes, noise and level.
        voice: float32 [n] from the start of the track, its labels not included here; or None.
    """
    length = round(float(times_s[-1]) * RATE_HZ) + 1
    sound = np.zeros(length, np.float32)
    heard = np.zeros((len(times_s), 21), np.int8)
    for event in events:
        add_event(sound, assets, event, rng)
        mark_event(heard, event, times_s)
    if voice is not None:
        sound[: len(voice)] += 10 * voice[:length]  # as loud as a recording of RMS 1
    gain = 10 ** rng.uniform(-1.9, -0.7)
    sound = np.asarray(sound * np.float32(gain), np.float32) + draw_noise(assets, length, gain, rng)
    ends = np.round(times_s * RATE_HZ).astype(int)
    contexts = np.stack([sound[end - CONTEXT : end] for end in ends])
    return Track(contexts=np.clip(contexts, -1, 1), heard=heard)


def add_event(sound: NDArray[np.float32], assets: Assets, event: Event, rng: np.random.Generator) -> None:
    """Mix one event into `sound`, faded at both ends."""
    a = max(0, round(event.start_s * RATE_HZ))
    b = min(len(sound), round(event.end_s * RATE_HZ))
    if b <= a:
        return
    piece = assets.sound(event.folder, b - a, rng) * np.float32(event.gain)
    ramp = np.linspace(0, 1, min(FADE, b - a), dtype=np.float32)
    piece[: len(ramp)] *= ramp
    piece[len(piece) - len(ramp) :] *= ramp[::-1]
    sound[a:b] += piece


def mark_event(heard: NDArray[np.int8], event: Event, times_s: NDArray[np.float64]) -> None:
    """Enter one event into the labels; near its ends nothing can be told."""
    sounds, might = SOUND_CLASSES.get(event.folder, (frozenset(), frozenset()))
    since, left = times_s - event.start_s, event.end_s - times_s
    for k in range(len(times_s)):
        if -0.02 < since[k] < 0.12 or -TAIL_S < left[k] < 0.02:
            _mark(heard[k], sounds | might, -1)
        elif since[k] > 0 and left[k] > 0:
            _mark(heard[k], might, -1)
            _mark(heard[k], sounds, 1)


def draw_noise(assets: Assets, length: int, gain: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw what is heard besides: nothing, hiss, or a recording of none of the classes."""
    kind = rng.random()
    if kind < 0.2:
        return np.zeros(length, np.float32)
    level = gain * 10 ** rng.uniform(-2.5, -0.4)
    if kind < 0.55 or not assets.noise_folders:
        white = rng.standard_normal(length).astype(np.float32)
        if rng.random() < 0.5:
            white[1:] = 0.3 * white[1:] + 0.7 * white[:-1]
        return white * np.float32(level)
    return assets.sound(str(rng.choice(assets.noise_folders)), length, rng) * np.float32(level)


def _mark(row: NDArray[np.int8], ids: frozenset[int], value: int) -> None:
    for i in ids:
        if row[i] != 1:
            row[i] = value
