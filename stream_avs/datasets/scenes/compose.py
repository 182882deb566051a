"""Draw a `ScenePlan` by lot: the cast, where they move, and who sounds when."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_avs.config import require
from stream_avs.datasets.scenes.config import SceneConfig
from stream_avs.datasets.scenes.plan import NOISE, SceneObject, ScenePlan, SoundEvent, Tag
from stream_avs.datasets.scenes.source import Background, SceneSource
from stream_avs.errors import ConfigError

MIN_BACKGROUND_SHARE = 0.02
"""An object of the background image smaller than this share of it cannot be the source."""
BACKGROUND_SCALE = 1.25
"""Backgrounds are larger than the frame by this factor, so that they can pan."""
_BACKGROUND_TRIES = 32
_PLACEMENT_TRIES = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class _Segment:
    """What is heard from `start_s` to `end_s`: objects by index, one unseen class, or noise alone."""

    start_s: float
    end_s: float
    objects: tuple[int, ...] = ()
    unseen: int | None = None
    noise: bool = False

    @property
    def heard(self) -> tuple[tuple[int, ...], int | None, bool]:
        return self.objects, self.unseen, self.noise


def check_source(source: SceneSource, config: SceneConfig) -> None:
    """Refuse a configuration that needs more classes than the source has.

    Raises:
        ConfigError: naming the setting.
    """
    classes = len(source.visible)
    require(
        config.objects_max <= classes, "scenes.objects_max", config.objects_max,
        f"at most the {classes} classes that have pictures",
    )  # fmt: skip
    require(bool(source.visible & source.sounding), "scenes", "no class", "a class with picture and sound")


def frame_times_s(config: SceneConfig, frames: int) -> NDArray[np.float64]:
    """Return when the frames are taken, float64 [frames]: the first hears one whole audio context."""
    spacing = np.arange(frames, dtype=np.float64) * config.frame_spacing_s
    return config.audio_context_s + spacing


def plan_clip(source: SceneSource, config: SceneConfig, rng: np.random.Generator) -> ScenePlan:
    """Draw a clip of `config.frames` frames whose sound changes at most once."""
    times = frame_times_s(config, config.frames)
    cuts: list[float] = []
    if config.frames > 1 and rng.random() < config.p_switch:
        # The first frame of the new sound is frame k: by then it fills half of `decision_s`.
        k = int(rng.integers(1, config.frames))
        cuts = [float(times[k]) - config.decision_s / 2 - rng.uniform(0.05, 0.95) * config.frame_spacing_s]
    return plan_scene(source, config, rng, times_s=times, cuts_s=cuts)


def plan_scene(
    source: SceneSource,
    config: SceneConfig,
    rng: np.random.Generator,
    *,
    times_s: NDArray[np.float64],
    cuts_s: Sequence[float],
) -> ScenePlan:
    """Draw a scene whose sound changes at each of `cuts_s` (rising, seconds)."""
    duration_s = float(times_s[-1]) + config.tail_s
    background, objects, lead, tags = _cast(source, config, rng)
    segments = _segments(source, config, rng, objects, lead, [0.0, *cuts_s, duration_s])
    tags |= _segment_tags(segments, objects)
    events = [event for segment in segments for event in _events(segment, config, objects, rng)]
    if rng.random() < config.p_noise:
        level_db = _level_db(config, rng) - rng.uniform(config.snr_min_db, config.snr_max_db)
        if any(segment.objects or segment.unseen for segment in segments):
            events.append(_noise(0.0, duration_s, level_db, rng))
            tags.add(Tag.NOISE)
    pan = rng.uniform(-config.pan_max, config.pan_max, 2) * config.size_px
    return ScenePlan(
        size_px=config.size_px,
        frame_times_s=times_s,
        duration_s=duration_s,
        sample_rate_hz=config.sample_rate_hz,
        decision_s=config.decision_s,
        background=background,
        pan_px_s=(float(pan[0]), float(pan[1])),
        objects=objects,
        events=tuple(events),
        tags=frozenset(str(tag) for tag in tags),
    )


def _cast(
    source: SceneSource, config: SceneConfig, rng: np.random.Generator
) -> tuple[Background, tuple[SceneObject, ...], int, set[Tag]]:
    """Choose what is seen: no two objects that may sound the same, and one of them the lead."""
    for _ in range(_BACKGROUND_TRIES):
        background = source.background(round(config.size_px * BACKGROUND_SCALE), rng)
        areas = np.bincount(background.classes.ravel(), minlength=256)
        shown = [c for c in range(1, 256) if areas[c]]
        taken = _confusable(source, shown)
        free = (source.visible & source.sounding) - taken
        large = [c for c in shown if areas[c] >= MIN_BACKGROUND_SHARE * background.classes.size]
        in_place = [c for c in large if c in source.sounding and not _shares_sound(source, c, shown)]
        if free or (in_place and config.p_in_place > 0):
            break
    else:
        raise ConfigError(
            "no background leaves a class free to sound", "Use more classes, or set p_in_place above 0"
        )

    tags: set[Tag] = set()
    placed: list[int] = []
    if in_place and (not free or rng.random() < config.p_in_place):
        lead_class = _choose(in_place, rng)
        tags.add(Tag.IN_PLACE)
    else:
        lead_class = _choose(free, rng)
        placed.append(lead_class)
    taken |= source.confusable(lead_class)

    count = int(rng.integers(config.objects_min, config.objects_max + 1))
    alike = source.lookalikes(lead_class) - taken
    if alike and len(placed) < count and rng.random() < config.p_distractor:
        placed.append(_choose(alike, rng))
        taken |= source.confusable(placed[-1])
        tags.add(Tag.DISTRACTOR)
    while len(placed) < count and (rest := source.visible - taken):
        placed.append(_choose(rest, rng))
        taken |= source.confusable(placed[-1])

    objects = [SceneObject(class_id=c, sprite=None) for c in shown]
    for i in rng.permutation(len(placed)):
        objects.append(_place(source, config, placed[i], objects, rng))
    lead = next(k for k, thing in enumerate(objects) if thing.class_id == lead_class)
    return background, tuple(objects), lead, tags


def _place(
    source: SceneSource,
    config: SceneConfig,
    class_id: int,
    others: list[SceneObject],
    rng: np.random.Generator,
) -> SceneObject:
    """Draw an object; of a few random places for the first frame take the farthest from the others."""
    first_s = config.audio_context_s
    side = round(rng.uniform(config.object_side_min, config.object_side_max) * config.size_px)
    sprite = source.sprite(class_id, max(side, 2), rng)
    half = np.array(sprite.alpha.shape[::-1]) / 2
    places = rng.uniform(0, 1, (_PLACEMENT_TRIES, 2)) * (config.size_px - 2 * half)
    taken = [
        np.array(o.position_px(first_s, config.size_px)) + np.array(o.sprite.alpha.shape[::-1]) / 2
        for o in others
        if o.sprite is not None
    ]
    away = np.stack([np.hypot(*(places + half - centre).T) for centre in taken or [np.zeros(2)]])
    place = places[away.min(axis=0).argmax() if taken else 0]
    angle = rng.uniform(0, 2 * np.pi)
    speed = rng.uniform(0, config.speed_max) * config.size_px
    velocity = speed * np.array([np.cos(angle), np.sin(angle)])
    start = place - velocity * first_s
    return SceneObject(
        class_id=class_id,
        sprite=sprite,
        start_px=(float(start[0]), float(start[1])),
        velocity_px_s=(float(velocity[0]), float(velocity[1])),
    )


def _segments(
    source: SceneSource,
    config: SceneConfig,
    rng: np.random.Generator,
    objects: tuple[SceneObject, ...],
    lead: int,
    bounds_s: list[float],
) -> list[_Segment]:
    """Decide what each stretch of time sounds like; neighbours differ."""
    seen = {thing.class_id for thing in objects}
    can_sound = [
        k
        for k, o in enumerate(objects)
        if o.class_id in source.sounding and (o.sprite is not None or k == lead)
    ]
    unseen = source.sounding - _confusable(source, seen)
    segments: list[_Segment] = []
    for start_s, end_s in itertools.pairwise(bounds_s):
        before = segments[-1] if segments else None
        draw = _draw_segment(config, rng, can_sound, lead if before is None else None, unseen, start_s, end_s)
        for _ in range(16):
            if before is None or draw.heard != before.heard:
                break
            draw = _draw_segment(config, rng, can_sound, None, unseen, start_s, end_s)
        else:  # one object and nothing else is allowed: the only change left is to silence and back
            silent = bool(before and before.objects)
            draw = _Segment(start_s=start_s, end_s=end_s, objects=() if silent else (lead,))
        segments.append(draw)
    return segments


def _draw_segment(
    config: SceneConfig,
    rng: np.random.Generator,
    can_sound: list[int],
    lead: int | None,
    unseen: frozenset[int],
    start_s: float,
    end_s: float,
) -> _Segment:
    lot = rng.random()
    if lot < config.p_silence:
        return _Segment(start_s=start_s, end_s=end_s)
    if lot < config.p_silence + config.p_noise_only:
        return _Segment(start_s=start_s, end_s=end_s, noise=True)
    if lot < config.p_silence + config.p_noise_only + config.p_off_screen and unseen:
        return _Segment(start_s=start_s, end_s=end_s, unseen=_choose(unseen, rng))
    sounding = [lead if lead is not None else _choose(can_sound, rng)]
    others = [k for k in can_sound if k not in sounding]
    if others and rng.random() < config.p_several:
        sounding.append(_choose(others, rng))
    extra = _choose(unseen, rng) if unseen and rng.random() < config.p_off_screen_mix else None
    return _Segment(start_s=start_s, end_s=end_s, objects=tuple(sorted(sounding)), unseen=extra)


def _segment_tags(segments: list[_Segment], objects: tuple[SceneObject, ...]) -> set[Tag]:
    tags: set[Tag] = {Tag.SWITCH} if len(segments) > 1 else set()
    for segment in segments:
        if segment.objects:
            tags.add(Tag.ON_SCREEN)
            if len(segment.objects) > 1:
                tags.add(Tag.SEVERAL)
            if segment.unseen is not None:
                tags.add(Tag.OFF_SCREEN_MIX)
        elif segment.unseen is not None:
            tags.add(Tag.OFF_SCREEN)
        else:
            tags.add(Tag.NOISE_ONLY if segment.noise else Tag.SILENCE)
    return tags


def _events(
    segment: _Segment, config: SceneConfig, objects: tuple[SceneObject, ...], rng: np.random.Generator
) -> list[SoundEvent]:
    if segment.noise:
        return [_noise(segment.start_s, segment.end_s, _level_db(config, rng), rng)]
    heard: list[tuple[int, int | None]] = [(objects[k].class_id, k) for k in segment.objects]
    if segment.unseen is not None:
        heard.append((segment.unseen, None))
    return [
        SoundEvent(
            class_id=class_id,
            start_s=segment.start_s,
            end_s=segment.end_s,
            level_db=_level_db(config, rng),
            seed=_seed(rng),
            source=index,
        )
        for class_id, index in heard
    ]


def _noise(start_s: float, end_s: float, level_db: float, rng: np.random.Generator) -> SoundEvent:
    return SoundEvent(class_id=NOISE, start_s=start_s, end_s=end_s, level_db=level_db, seed=_seed(rng))


def _confusable(source: SceneSource, classes: Iterable[int]) -> set[int]:
    return {other for c in classes for other in source.confusable(c)}


def _shares_sound(source: SceneSource, class_id: int, shown: list[int]) -> bool:
    return bool(source.confusable(class_id) & (set(shown) - {class_id}))


def _level_db(config: SceneConfig, rng: np.random.Generator) -> float:
    return float(rng.uniform(config.level_min_db, config.level_max_db))


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**32))


def _choose(options: Sequence[int] | frozenset[int], rng: np.random.Generator) -> int:
    """Pick one; sets are sorted first, so that the same seed picks the same."""
    ordered = sorted(options)
    return ordered[int(rng.integers(len(ordered)))]
