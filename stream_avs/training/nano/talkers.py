"""Clips of one or two talkers of whom at most one speaks: voice and lips belong together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_avs.training.nano import pictures
from stream_avs.training.nano.assets import PERSON, RATE_HZ, SOUND_CLASSES, Assets, Talker
from stream_avs.training.nano.sounds import Event, Track, draw_events, frame_times_s, render_track

FPS = 25
SILENT_MARGIN = 3
"""Frames beside the sentence that are neither speech nor surely silence."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Scene:
    """A clip whose sound belongs to its pictures.

    Attributes:
        frames: uint8 [T, H, W, 3].
        ids: uint8 [T, H, W], VOC classes of everything seen.
        target: uint8 [T, H, W], VOC classes of what sounds, 255 unknown.
        track: the sound.
        kind: "one", "two", "muted", "voice off", for statistics.
    """

    frames: NDArray[np.uint8]
    ids: NDArray[np.uint8]
    target: NDArray[np.uint8]
    track: Track
    kind: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Turn:
    """Who speaks from `start_s` on (index, or -1 for nobody), until the next turn."""

    who: int
    start_s: float


def draw_talkers(
    assets: Assets, count: int, spacing_s: float, rng: np.random.Generator, kind: str = ""
) -> Scene:
    """Draw a scene of one or two people.

    Args:
        assets: of the split.
        count: frames.
        spacing_s: between frames.
        rng: decides everything.
        kind: one, two, muted (lips move, no voice) or voice off (a voice, lips rest); "" by lot.
    """
    kind = kind or str(rng.choice(["one", "two", "muted", "voice off"], p=[0.33, 0.47, 0.12, 0.08]))
    people = _draw_people(assets, 2 if kind == "two" else 1, rng)
    times = frame_times_s(count, spacing_s)
    turns = _draw_turns(kind, len(people), float(times[0]), float(times[-1]), rng)
    voice = np.zeros(round(float(times[-1]) * RATE_HZ) + 1, np.float32)
    other = assets.talkers[int(rng.integers(len(assets.talkers)))]
    for k, turn in enumerate(turns):
        end_s = turns[k + 1].start_s if k + 1 < len(turns) else float(times[-1]) + 1
        speaker = other if kind == "voice off" else people[max(turn.who, 0)]
        if (turn.who >= 0 or kind == "voice off") and kind != "muted":
            _speak(voice, speaker, turn.start_s, end_s)
    speaking = [_at(turns, float(t)) for t in times]
    frames, ids, target = _draw_frames(assets, people, speaking, times, kind, rng)
    events: list[Event] = []
    if kind in ("muted", "one") and rng.random() < (0.4 if kind == "muted" else 0.1):
        drawn = draw_events(assets, float(times[0]), float(times[-1]), rng)
        events = [e for e in drawn if not _human(e.folder)]
    track = render_track(assets, events, times, rng, voice)
    _label_voice(track, target, turns, times, kind)
    return Scene(frames=frames, ids=ids, target=target, track=track, kind=kind)


def _draw_people(assets: Assets, count: int, rng: np.random.Generator) -> list[Talker]:
    order = rng.permutation(len(assets.talkers))
    chosen = [assets.talkers[int(i)] for i in order[:count]]
    return chosen if len(chosen) == count else chosen * count


def _draw_turns(
    kind: str, people: int, first_s: float, last_s: float, rng: np.random.Generator
) -> list[_Turn]:
    switch = rng.uniform(first_s - 0.2, last_s)
    begin = first_s - rng.uniform(0.2, 1.9)
    if kind == "two":
        who = int(rng.integers(2))
        lot = rng.random()
        if lot < 0.6:
            return [_Turn(who=-1, start_s=-1.0), _Turn(who=who, start_s=begin)]
        if lot < 0.85:
            return [
                _Turn(who=-1, start_s=-1.0), _Turn(who=who, start_s=begin), _Turn(who=1 - who, start_s=switch)
            ]  # fmt: skip
        return [_Turn(who=-1, start_s=-1.0)]
    if kind == "one" and rng.random() < 0.45:
        if rng.random() < 0.5:
            return [_Turn(who=-1, start_s=-1.0), _Turn(who=0, start_s=switch)]
        return [_Turn(who=0, start_s=begin), _Turn(who=-1, start_s=switch)]
    return [_Turn(who=-1, start_s=-1.0), _Turn(who=0, start_s=begin)]


def _speak(voice: NDArray[np.float32], talker: Talker, start_s: float, end_s: float) -> None:
    """Add the sentence, over and over, from `start_s` to `end_s`."""
    first, last = talker.speech
    sentence = talker.audio[first * RATE_HZ // FPS : (last + 1) * RATE_HZ // FPS]
    a, b = round(start_s * RATE_HZ), min(round(end_s * RATE_HZ), len(voice))
    if b > max(a, 0):
        index = np.arange(max(a, 0), b)
        voice[index] += sentence[(index - a) % len(sentence)]


def _at(turns: list[_Turn], time_s: float) -> tuple[int, float]:
    """Who speaks at a time, and since when."""
    current = turns[0]
    for turn in turns:
        if turn.start_s <= time_s:
            current = turn
    return current.who, current.start_s


def _frame_of(talker: Talker, speaks_since_s: float | None, time_s: float, phase: int) -> int:
    """Which frame of the clip to show."""
    first, last = talker.speech
    if speaks_since_s is not None:
        return first + int((time_s - speaks_since_s) * FPS) % (last + 1 - first)
    before = list(range(max(0, first - SILENT_MARGIN)))
    after = list(range(min(len(talker.frames), last + 1 + SILENT_MARGIN), len(talker.frames)))
    rest = max(before, after, key=len) or [0]
    there_and_back = rest + rest[-2:0:-1]
    return there_and_back[(int(time_s * FPS) + phase) % len(there_and_back)]


def _draw_frames(
    assets: Assets,
    people: list[Talker],
    speaking: list[tuple[int, float]],
    times: NDArray[np.float64],
    kind: str,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    height, width = pictures.CANVAS
    scale = rng.uniform(0.55, 1.15) if len(people) == 1 else rng.uniform(0.55, 0.8)
    w = round(width * scale)
    h = round(w * 0.8)
    if len(people) == 1:
        xs = [round(rng.uniform(-0.15, 1.0) * (width - w))]
    else:
        xs = [round(-0.12 * w + rng.uniform(-8, 8)), round(width - 0.88 * w + rng.uniform(-8, 8))]
    lift = rng.uniform(-0.05, 0.15) if rng.random() < 0.5 else 0.0
    y = round(height - h * (1 - lift))
    backdrop = rng.random() < (0.35 if len(people) == 1 else 0.15)
    base = (
        np.full((height, width, 3), people[0].frames[0][:20].mean((0, 1)), np.uint8)
        if backdrop
        else pictures.background(assets, rng)
    )
    mirrored = [bool(rng.random() < 0.5) for _ in people]
    phase = [int(rng.integers(40)) for _ in people]
    frames, ids, target = [], [], []
    for k, time in enumerate(times):
        frame, seen = base.copy(), np.zeros(pictures.CANVAS, np.uint8)
        who, since = speaking[k]
        owner = np.zeros(pictures.CANVAS, np.uint8)
        for i, talker in enumerate(people):
            speaks = since if who == i and kind != "voice off" else None
            index = _frame_of(talker, speaks, float(time), phase[i])
            box = (xs[i], y, w, h)
            pictures.put_talker(
                frame, owner, talker, index, box, class_id=i + 1, keep_backdrop=False, mirrored=mirrored[i]
            )
        seen[owner > 0] = PERSON
        sounds = np.zeros(pictures.CANVAS, np.uint8)
        if who >= 0 and kind in ("one", "two"):
            sounds[owner == who + 1] = PERSON
        frames.append(frame)
        ids.append(seen)
        target.append(sounds)
    return pictures.finish(np.stack(frames), rng), np.stack(ids), np.stack(target)


def _label_voice(
    track: Track, target: NDArray[np.uint8], turns: list[_Turn], times: NDArray[np.float64], kind: str
) -> None:
    """Enter the voice into the labels, in place; near a turn nothing can be told."""
    for k, time in enumerate(times):
        who, _ = _at(turns, float(time))
        near = any(-0.08 < time - turn.start_s < 0.12 for turn in turns)
        if kind == "muted":
            continue
        if near:
            track.heard[k, PERSON] = -1
            target[k][target[k] == PERSON] = 255
        elif who >= 0:
            track.heard[k, PERSON] = 1


def _human(folder: str) -> bool:
    sounds, might = SOUND_CLASSES.get(folder, (frozenset(), frozenset()))
    return PERSON in sounds | might
