"""Long streams of held-out clips, one joined to the next, with everything known about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from stream_avs.evaluation.stream_metrics import flicker, switch_delay
from stream_avs.evaluation.windows import one_frame
from stream_avs.models.base import AnyModel, Stages
from stream_avs.training.nano import pictures
from stream_avs.training.nano.assets import IGNORE, RATE_HZ, SOUND_CLASSES, Assets
from stream_avs.training.nano.sounds import CONTEXT, Event, Track, frame_times_s, render_track
from stream_avs.training.nano.talkers import draw_talkers
from stream_avs.training.nano.targets import loose_target
from stream_avs.types import Window

SPACING_S = 0.12
PIECE_FRAMES = 12
SCORED_PX = 160
MIN_AREA = 0.002
_PICTURE_KINDS = ("match", "other", "silence", "on", "off", "switch")
_TALKER_KINDS = ("one", "two", "muted", "voice off")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Piece:
    """One clip of a stream.

    Attributes:
        kind: what happens, e.g. "two" talkers, "off" for a sound that ends.
        frames: uint8 [T, H, W, 3].
        target: uint8 [T, 160, 160], VOC ids of what sounds, 255 unknown.
        sound: float32 [n], from the first frame to the last.
    """

    kind: str
    frames: NDArray[np.uint8]
    target: NDArray[np.uint8]
    sound: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Stream:
    """Pieces one after the other, the sound running through.

    Attributes:
        images: uint8 [H, W, 3] each.
        contexts: float32 [T, 64000], 2 s up to each frame.
        target: uint8 [T, 160, 160].
        kinds: of the piece that each frame belongs to.
        switched: bool [T], first frame of another set of sounding pixels' classes.
    """

    images: list[NDArray[np.uint8]]
    contexts: NDArray[np.float32]
    target: NDArray[np.uint8]
    kinds: list[str]
    switched: NDArray[np.bool_]

    def windows(self) -> list[Window]:
        """What a model of one frame per window sees, frame by frame."""
        return [
            one_frame(image, self.contexts[k], time_s=k * SPACING_S, seq=k, sample_rate_hz=RATE_HZ)
            for k, image in enumerate(self.images)
        ]


def draw_streams(assets: Assets, count: int, pieces: int, seed: int) -> list[Stream]:
    """Draw `count` streams of `pieces` clips each; kinds take turns."""
    kinds = [k for pair in zip(_PICTURE_KINDS, _TALKER_KINDS * 2, strict=False) for k in pair]
    streams = []
    for s in range(count):
        rng = np.random.default_rng((seed, s))
        chosen = [kinds[(s * pieces + k) % len(kinds)] for k in range(pieces)]
        streams.append(_join([_draw_piece(assets, kind, rng) for kind in chosen]))
    return streams


def run_stream(model: AnyModel, stream: Stream) -> NDArray[np.uint8]:
    """Masks uint8 [T, 160, 160] of a whole stream, state carried throughout."""
    state, masks = model.initial_state(), []
    for window in stream.windows():
        decision, state = model.step(window, state, Stages())
        size = (SCORED_PX, SCORED_PX)
        masks.append(cv2.resize(decision.mask, size, interpolation=cv2.INTER_NEAREST_EXACT))
    return np.stack(masks)


def score_streams(streams: Sequence[Stream], masks: Sequence[NDArray[np.uint8]]) -> dict[str, float]:
    """Score masks of streams.

    Returns:
        j and j_<kind>: class-aware IoU on frames of which 0.2 % or more sound, pixels unknown left
        out; area_<kind>, area: masked share where nothing visible sounds; alarms: share of those
        frames with more than 1 % masked; who: share of frames with one voice of two people on which
        most of the mask is on the one who speaks, an empty mask counting as wrong; delay_*: frames
        from a change to a right mask; flicker; counts.
    """
    j: dict[str, list[float]] = {}
    quiet: dict[str, list[float]] = {}
    who: list[float] = []
    delays: list[int | None] = []
    flickers: list[float] = []
    for stream, predicted in zip(streams, masks, strict=True):
        known = stream.target != IGNORE
        truth = np.where(known, stream.target, 0)
        shown = np.where(known, predicted, 0)
        for k, kind in enumerate(stream.kinds):
            p, m = shown[k], truth[k]
            if (m > 0).mean() > MIN_AREA:
                hit = ((p == m) & (m > 0)).sum()
                value = float(hit / max(((p > 0) | (m > 0)).sum(), 1))
                j.setdefault(kind, []).append(value)
                if kind == "two":
                    who.append(float((p > 0).any() and hit > 0.5 * (p > 0).sum()))
            elif not (m > 0).any():
                quiet.setdefault(kind, []).append(float((p > 0).mean()))
        scores = switch_delay(shown, truth, stream.switched)
        delays += list(scores.delays)
        flickers.append(flicker(shown, truth, stream.switched))
    every = [v for values in j.values() for v in values]
    silent = [v for values in quiet.values() for v in values]
    followed = [d for d in delays if d is not None]
    return {
        "j": _mean(every),
        "frames_sounding": len(every),
        **{f"j_{k}": _mean(v) for k, v in sorted(j.items())},
        "area": _mean(silent),
        "alarms": _mean([float(v > 0.01) for v in silent]),
        "frames_quiet": len(silent),
        **{f"area_{k}": _mean(v) for k, v in sorted(quiet.items())},
        "who": _mean(who),
        "frames_who": len(who),
        "delay_median": float(np.median(followed)) if followed else float("nan"),
        "delay_mean": _mean([float(d) for d in followed]),
        "delays_missed": len(delays) - len(followed),
        "delays": len(delays),
        "flicker": _mean(flickers),
    }


def _draw_piece(assets: Assets, kind: str, rng: np.random.Generator) -> Piece:
    if kind in _TALKER_KINDS:
        scene = draw_talkers(assets, PIECE_FRAMES, SPACING_S, rng, kind)
        return _piece(kind, scene.frames, scene.target, scene.track)
    view = _draw_view(assets, rng)
    times = frame_times_s(PIECE_FRAMES, SPACING_S)
    track = render_track(assets, _draw_events(assets, kind, view, times, rng), times, rng)
    count = len(times) // len(view.frames)
    frames, ids = np.repeat(view.frames, count, axis=0), np.repeat(view.ids, count, axis=0)
    return _piece(kind, frames, loose_target(ids, track.heard), track)


def _draw_view(assets: Assets, rng: np.random.Generator) -> pictures.View:
    """A view that shows something which has sounds."""
    audible = {c for folder in assets.class_folders for c in SOUND_CLASSES[folder][0]}
    for _ in range(50):
        lot = rng.random()
        view = pictures.still(assets, rng) if lot < 0.5 else pictures.moving(assets, PIECE_FRAMES, rng)
        shown = [c for c in audible if (view.ids == c).mean() > 0.01]
        if shown:
            return view
    return view


def _draw_events(
    assets: Assets, kind: str, view: pictures.View, times: NDArray[np.float64], rng: np.random.Generator
) -> list[Event]:
    visible = {int(c) for c in np.unique(view.ids)} - {0, IGNORE}
    matching = [f for f in assets.class_folders if SOUND_CLASSES[f][0] & visible]
    foreign = [f for f in assets.class_folders if not (SOUND_CLASSES[f][0] | SOUND_CLASSES[f][1]) & visible]
    first, last = float(times[0]), float(times[-1])
    middle = float(rng.uniform(first + 0.3, last - 0.3))

    def event(folders: list[str], start_s: float, end_s: float) -> Event:
        folder = str(rng.choice(folders or assets.class_folders))
        return Event(folder=folder, start_s=start_s, end_s=end_s, gain=1.0)

    begin, end = first - 1.0, last + 1.0
    if kind == "silence":
        return []
    if kind == "other":
        return [event(foreign, begin, end)]
    if kind == "on":
        return [event(matching, middle, end)]
    if kind == "off":
        return [event(matching, begin, middle)]
    if kind == "switch":
        return [event(foreign, begin, middle), event(matching, middle + 0.05, end)]
    return [event(matching, begin, end)]


def _piece(kind: str, frames: NDArray[np.uint8], target: NDArray[np.uint8], track: Track) -> Piece:
    hop = round(SPACING_S * RATE_HZ)
    sound = np.concatenate([context[-hop:] for context in track.contexts])
    size = (SCORED_PX, SCORED_PX)
    small = [cv2.resize(t, size, interpolation=cv2.INTER_NEAREST_EXACT) for t in target]
    return Piece(kind=kind, frames=frames, target=np.stack(small), sound=sound)


def _join(pieces: list[Piece]) -> Stream:
    hop = round(SPACING_S * RATE_HZ)
    silence = np.zeros(CONTEXT, np.float32)
    sound = np.concatenate([silence, *(p.sound for p in pieces)])
    images = [f for p in pieces for f in p.frames]
    ends = [CONTEXT + (k + 1) * hop for k in range(len(images))]
    target = np.concatenate([p.target for p in pieces])
    what = [frozenset(np.unique(t)) - {0, IGNORE} for t in target]
    centre = [
        float(np.argwhere((t > 0) & (t < IGNORE)).mean(0)[1]) if w else 0.0
        for t, w in zip(target, what, strict=True)
    ]
    switched = np.zeros(len(images), np.bool_)
    for k in range(1, len(images)):
        unclear = bool((target[k] == IGNORE).mean() > 0.02)
        changed = what[k] != what[k - 1] or abs(centre[k] - centre[k - 1]) > SCORED_PX / 4
        switched[k] = changed and not unclear
    return Stream(
        images=images,
        contexts=np.stack([sound[e - CONTEXT : e] for e in ends]),
        target=target,
        kinds=[p.kind for p in pieces for _ in p.frames],
        switched=switched,
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
