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
from stream_avs.training.nano.bank import FRAMES, Bank, Clip

TALKERS_SHARE = 0.75
PAIRS_SHARE = 0.7
"""Of the talkers' clips, those of two people."""
MATCHED_SHARE = 0.65
STILL_SHARE = 0.1
_THIN = slice(1, None, 2)
"""The loss needs no more than 40 x 40 cells; and so all pictures fit into memory."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """B clips of T frames, flattened to F = B * T where not said otherwise.

    Attributes:
        seen: pictures.
        sound: contexts.
        target: int64 [F, h, w], VOC ids of what sounds, 255 unknown.
        heard: int8 [F, 21], 1 sounds, 0 not, -1 unknown.
        shape: (B, T).
        kinds: kind of every clip, B times T / 5 of them.
    """

    seen: Seen
    sound: Sound
    target: Tensor
    heard: Tensor
    shape: tuple[int, int]
    kinds: list[str]


class Sampler:
    """Draws batches.

    Args:
        bank: pictures and sounds.
    """

    def __init__(self, bank: Bank) -> None:
        self.bank = bank
        self.talkers = [c for c in bank.clips if c.track >= 0]
        self.pairs = [c for c in self.talkers if c.kind == "two"]
        self.loose = [c for c in bank.clips if c.track < 0]
        heard = np.asarray(bank.arrays["heard"])
        rows = [heard[t : t + FRAMES] for t in bank.tracks]
        tied = {c.track for c in self.talkers}
        self._any = [k for k in range(len(rows)) if k not in tied]
        self._of_class = {
            c: [k for k, r in enumerate(rows) if (r[:, c] == 1).any()] for c in range(1, heard.shape[1])
        }
        ids = bank.arrays["ids"]
        self._maps = {
            "log_seen": np.array(bank.arrays["log_seen"][..., _THIN, _THIN]),
            "motion": np.array(bank.arrays["motion"]),
        }
        self._ids = np.array(ids[..., _THIN, _THIN])
        self._targets = np.array(bank.arrays["target"][..., _THIN, _THIN])
        self._visible = {c.first: np.unique(ids[c.first]) for c in self.loose}
        classes = sorted({int(i) for v in self._visible.values() for i in v} - {0, IGNORE})
        self._showing = {i: [c for c in self.loose if i in self._visible[c.first]] for i in classes}

    def draw(self, rng: np.random.Generator, clips: int, joined: int) -> Batch:
        """Draw `clips` clips, each of `joined` pieces of 5 frames one after the other."""
        pieces = [self._piece(rng) for _ in range(clips * joined)]
        return self._stack(pieces, (clips, joined * FRAMES), rng)

    def _piece(self, rng: np.random.Generator) -> tuple[Clip, int]:
        if rng.random() < TALKERS_SHARE:
            options = self.pairs if rng.random() < PAIRS_SHARE else self.talkers
            clip = options[int(rng.integers(len(options)))]
            return clip, clip.track
        # half of the time every class is shown as often as every other
        balanced = self._showing[int(rng.choice(sorted(self._showing)))]
        options = balanced if rng.random() < 0.5 else self.loose
        clip = options[int(rng.integers(len(options)))]
        visible = [int(i) for i in self._visible[clip.first] if self._of_class.get(int(i))]
        if visible and rng.random() < MATCHED_SHARE:
            tracks = self._of_class[int(rng.choice(visible))]
            return clip, tracks[int(rng.integers(len(tracks)))]
        return clip, self._any[int(rng.integers(len(self._any)))]

    def _stack(
        self, pieces: list[tuple[Clip, int]], shape: tuple[int, int], rng: np.random.Generator
    ) -> Batch:
        steps = np.arange(FRAMES)
        rows = np.concatenate([c.first + (steps if c.count > 1 else 0 * steps) for c, _ in pieces])
        heard_rows = np.concatenate([self.bank.tracks[t] + steps for _, t in pieces])
        arrays = self.bank.arrays
        maps = {n: a[rows] for n, a in self._maps.items()}
        heard = np.stack([arrays["heard"][r] for r in heard_rows])
        ids = self._ids[rows]
        tied = np.repeat([c.track >= 0 for c, _ in pieces], FRAMES)
        drawn = self._targets[rows]
        target = np.where(tied[:, None, None], drawn, loose_target(ids, heard))
        # faster and slower movements, other cameras' noise; sometimes none is known
        strength = np.exp(rng.uniform(-0.7, 0.7, len(pieces))) * (rng.random(len(pieces)) > STILL_SHARE)
        maps["motion"] = maps["motion"] * np.repeat(strength, FRAMES)[:, None, None, None].astype(np.float32)
        if rng.random() < 0.5:
            maps = {n: np.ascontiguousarray(m[..., ::-1]) for n, m in maps.items()}
            target = np.ascontiguousarray(target[..., ::-1])
        tensors = {n: torch.from_numpy(m).float() for n, m in maps.items()}
        sound = Sound(
            *(
                torch.from_numpy(np.stack([arrays[n][r] for r in heard_rows])).float()
                for n in ("evidence", "levels")
            )
        )
        return Batch(
            seen=Seen(**tensors),
            sound=sound,
            target=torch.from_numpy(target.astype(np.int64)),
            heard=torch.from_numpy(heard),
            shape=shape,
            kinds=[c.kind for c, _ in pieces],
        )


def loose_target(ids: NDArray[np.uint8], heard: NDArray[np.int8]) -> NDArray[np.uint8]:
    """What sounds when every seen object of a heard class does.

    Args:
        ids: uint8 [F, h, w], VOC classes, 255 unknown.
        heard: int8 [F, 21].

    Returns:
        uint8 [F, h, w], 255 where it cannot be told.
    """
    table = np.zeros((len(ids), 256), np.uint8)
    table[:, IGNORE] = IGNORE
    classes = np.arange(heard.shape[1], dtype=np.uint8)
    table[:, : heard.shape[1]] = np.where(heard == 1, classes, np.where(heard == -1, IGNORE, 0))
    table[:, 0] = 0
    return np.take_along_axis(table, ids.reshape(len(ids), -1), axis=1).reshape(ids.shape)
