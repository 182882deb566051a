"""Batches from a bank: pictures meet sounds, and from both follows what the mask should be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stream_avs.models.nano.network import Seen
from stream_avs.models.nano.senses import Sound
from stream_avs.training.nano.assets import IGNORE
from stream_avs.training.nano.bank import SEEN, Bank, Clip, seen_of
from stream_avs.training.nano.clips import FRAMES
from stream_avs.training.nano.dialogues import KINDS
from stream_avs.training.nano.targets import loose_target

SHARES = {"pictures": 0.15, "two": 0.28, "dialogues": 0.42, "others": 0.15}
"""Of pictures with any sound, two people of whom one speaks, the same for longer, and other talkers."""
MATCHED_SHARE = 0.65
STILL_SHARE = 0.1
UNWATCHED_SHARE = 0.2
"""Pieces at which nothing is known yet of movements with the voice, as after a cut."""
_STRENGTH = 0.7
"""Movements are up to e to the power of this faster or slower."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """B pieces of T frames, flattened to F = B * T where not said otherwise.

    Attributes:
        seen: pictures.
        sound: contexts.
        target: int64 [F, h, w], VOC ids of what sounds, 255 unknown.
        shape: (B, T).
        kinds: kind of every piece.
    """

    seen: Seen
    sound: Sound
    target: Tensor
    shape: tuple[int, int]
    kinds: list[str]


@dataclass(frozen=True, slots=True)
class _Piece:
    """5 frames of a clip from `start` on, and the sound they meet."""

    clip: Clip
    start: int
    track: int


class Sampler:
    """Draws batches.

    Args:
        bank: pictures and sounds.
    """

    def __init__(self, bank: Bank) -> None:
        self.bank = bank
        spoken = [c for c in bank.clips if c.track >= 0]
        self._spoken = {
            "two": [c for c in spoken if c.kind == "two"],
            "dialogues": [c for c in spoken if c.kind in KINDS],
            "others": [c for c in spoken if c.kind not in ("two", *KINDS)],
        }
        self._loose = [c for c in bank.clips if c.track < 0]
        tied = {c.track for c in spoken}
        loose_tracks = [k for k in range(len(bank.tracks)) if k not in tied]
        heard = np.asarray(bank.arrays["heard"])
        self._sounds = loose_tracks
        self._of_class = {
            c: [k for k in loose_tracks if (heard[self._contexts(k)][:, c] == 1).any()]
            for c in range(1, heard.shape[1])
        }
        self._maps = {n: np.array(bank.arrays[n]) for n in SEEN}
        self._ids = np.array(bank.arrays["ids"])
        self._visible = {c.first: np.unique(self._ids[c.first]) for c in self._loose}
        classes = sorted({int(i) for v in self._visible.values() for i in v} - {0, IGNORE})
        self._showing = {i: [c for c in self._loose if i in self._visible[c.first]] for i in classes}

    def draw(self, rng: np.random.Generator, pieces: int) -> Batch:
        """Draw pieces of 5 frames."""
        return self._stack([self._piece(rng) for _ in range(pieces)], rng)

    def _contexts(self, track: int, start: int = 0) -> NDArray[np.int64]:
        return self.bank.tracks[track] + start + np.arange(FRAMES)

    def _piece(self, rng: np.random.Generator) -> _Piece:
        group = str(rng.choice(list(SHARES), p=list(SHARES.values())))
        options = self._spoken.get(group)
        if options:
            clip = options[int(rng.integers(len(options)))]
            return _Piece(clip, int(rng.integers(clip.count - FRAMES + 1)), clip.track)
        # half of the time every class is shown as often as every other
        balanced = self._showing[int(rng.choice(sorted(self._showing)))]
        options = balanced if rng.random() < 0.5 else self._loose
        clip = options[int(rng.integers(len(options)))]
        visible = [int(i) for i in self._visible[clip.first] if self._of_class.get(int(i))]
        tracks = self._sounds
        if visible and rng.random() < MATCHED_SHARE:
            tracks = self._of_class[int(rng.choice(visible))]
        return _Piece(clip, 0, tracks[int(rng.integers(len(tracks)))])

    def _stack(self, pieces: list[_Piece], rng: np.random.Generator) -> Batch:
        steps = np.arange(FRAMES)
        rows = np.concatenate([p.clip.first + p.start + steps * (p.clip.count > 1) for p in pieces])
        contexts = np.concatenate([self._contexts(p.track, p.start) for p in pieces])
        arrays = self.bank.arrays
        ids, heard = self._ids[rows], arrays["heard"][contexts]
        tied = np.repeat([p.clip.track >= 0 for p in pieces], FRAMES)
        target = np.where(tied[:, None, None], ids, loose_target(ids, heard))
        maps = self._varied({n: a[rows].astype(np.float32) for n, a in self._maps.items()}, rng)
        if rng.random() < 0.5:
            maps = {n: np.ascontiguousarray(m[..., ::-1]) if m.ndim > 1 else m for n, m in maps.items()}
            target = np.ascontiguousarray(target[..., ::-1])
        evidence, levels = (
            torch.from_numpy(arrays[n][contexts].astype(np.float32)) for n in ("evidence", "levels")
        )
        return Batch(
            seen=seen_of(maps),
            sound=Sound(evidence=evidence, levels=levels),
            target=torch.from_numpy(target.astype(np.int64)),
            shape=(len(pieces), FRAMES),
            kinds=[p.clip.kind for p in pieces],
        )

    def _varied(self, maps: dict[str, NDArray], rng: np.random.Generator) -> dict[str, NDArray]:
        """Faster and slower movements, other cameras' noise; sometimes none is known."""
        pieces = len(maps["seconds"]) // FRAMES
        strength = np.exp(rng.uniform(-_STRENGTH, _STRENGTH, pieces))
        moving, watched = (rng.random(pieces) > share for share in (STILL_SHARE, UNWATCHED_SHARE))
        factors = {"motion": strength * moving, "own": strength * moving, "gain": strength * watched}
        factors |= dict.fromkeys(("correlation", "seconds", "spread"), watched)
        for name, factor in factors.items():
            rows = np.repeat(factor, FRAMES).astype(np.float32)
            maps[name] = maps[name] * rows.reshape(-1, *[1] * (maps[name].ndim - 1))
        return maps
