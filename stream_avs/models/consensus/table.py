"""Which sounds belong to which class of things seen."""

from __future__ import annotations

import hashlib
import importlib.resources
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

_FLOOR = 1e-6


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One class of the table.

    Attributes:
        id: Pascal VOC class id, 1..20, also the id in the mask.
        name: label.
        half: evidence at which the class is as likely to sound as not, 0..1.
        audioset: AudioSet labels that speak for the class, with their index in the tagger's output.
    """

    id: int
    name: str
    half: float
    audioset: dict[str, int]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    classes: list[Entry]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LabelTable:
    """The table as read.

    Attributes:
        entries: classes in the order of `hear`'s result.
        sha256: of the file, hex.
    """

    entries: tuple[Entry, ...]
    sha256: str

    @property
    def ids(self) -> NDArray[np.int64]:
        """Class ids, [classes]."""
        return np.array([entry.id for entry in self.entries])

    @property
    def labels(self) -> dict[int, str]:
        """Class names by id."""
        return {entry.id: entry.name for entry in self.entries}

    def hear(self, probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return how likely each class sounds.

        The evidence for a class is the noisy-or of its labels, 1 - prod(1 - p); the logistic curve
        through (half, 0.5) turns it into a likelihood.

        Args:
            probabilities: [527] of the AudioSet labels.

        Returns:
            [classes], 0..1.
        """
        silent = 1.0 - probabilities.astype(np.float64)
        heard = np.array([1.0 - np.prod(silent[list(e.audioset.values())]) for e in self.entries])
        half = np.array([e.half for e in self.entries])
        odds = _odds(heard) / _odds(half)
        return odds / (1.0 + odds)


def read_table() -> LabelTable:
    """Read the table that comes with the package."""
    data = (importlib.resources.files(__package__) / "label_table.json").read_bytes()
    table = msgspec.json.decode(data, type=_File)
    return LabelTable(entries=tuple(table.classes), sha256=hashlib.sha256(data).hexdigest())


def _odds(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(probability, _FLOOR, 1.0 - _FLOOR)
    return clipped / (1.0 - clipped)
