"""Whole objects sound, not parts of them: what the trunk says of each, and which of them stay.

An object is a connected blob of one class; people are told apart further. It goes if the eye is
nowhere sure of it. Of several people those go over whom the trunk's mask is clearly lower than over the
one who speaks most. One person alone never goes: what the trunk says against a single person is wrong
too often.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from stream_avs.models.nano.persons import split_persons

PERSON = 15
LARGE = 0.01
"""Share of the picture from which on the trunk can tell whether a person speaks."""
_SAID_MOST = 3.0
"""The trunk is no surer than this, in logits."""
_SURE_PERCENTILE = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectRule:
    """Which objects stay.

    Attributes:
        smallest: share of the picture under which an object is left out.
        clear: probability that the eye must give to the surest pixels of an object.
        behind: a person of whom the trunk says so much less than of another, in logits, does not speak.
        shown: who is shown already stays until this much further behind.
        split: tell people apart who stand side by side.
    """

    smallest: float = 0.002
    clear: float = 0.0
    behind: float = 50.0
    shown: float = 0.0
    split: bool = True


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Thing:
    """One object.

    Attributes:
        inside: bool [h, w].
        class_id: its class.
        person: whether it is a person large enough to be compared with others.
        share: of the picture.
        sure: probability of its class at its surest pixels.
        said: mean mask of the trunk, logits.
        shown: whether most of it was in the mask before.
    """

    inside: NDArray[np.bool_]
    class_id: int
    person: bool
    share: float
    sure: float
    said: float
    shown: bool


def keep_objects(
    mask: NDArray[np.uint8],
    seen: NDArray[np.float32],
    residual: NDArray[np.float32] | None,
    before: NDArray[np.bool_],
    rule: ObjectRule,
) -> NDArray[np.uint8]:
    """Remove the objects that do not sound.

    Args:
        mask: uint8 [h, w], class ids on which eye and ear agree.
        seen: float32 [h, w], how sure the eye is of each pixel's class.
        residual: float32 [h, w], the trunk's mask, logits; None leaves it out.
        before: bool [h, w], the mask before.
        rule: see `ObjectRule`.

    Returns:
        uint8 [h, w], a part of `mask`.
    """
    things = [t for t in find_things(mask, seen, residual, before, rule) if t.sure >= rule.clear]
    kept = np.zeros_like(mask)
    people = speakers([t for t in things if t.person], rule)
    for thing in [*(t for t in things if not t.person), *people]:
        kept[thing.inside] = thing.class_id
    return kept


def speakers(people: list[Thing], rule: ObjectRule) -> list[Thing]:
    """Those who may speak: the best, and all who are not clearly behind."""
    said = [min(max(person.said, -_SAID_MOST), _SAID_MOST) for person in people]
    least = max(said, default=0.0) - rule.behind
    return [p for p, x in zip(people, said, strict=True) if x >= least - (rule.shown if p.shown else 0.0)]


def find_things(
    mask: NDArray[np.uint8],
    seen: NDArray[np.float32],
    residual: NDArray[np.float32] | None,
    before: NDArray[np.bool_],
    rule: ObjectRule,
) -> Iterator[Thing]:
    """Objects of at least `rule.smallest`; see `keep_objects`."""
    for class_id in (int(i) for i in np.unique(mask[mask > 0])):
        for blob in _blobs(mask == class_id, rule):
            split = rule.split and class_id == PERSON
            for inside in split_persons(blob, residual) if split else [blob]:
                share = float(inside.mean())
                yield Thing(
                    inside=inside,
                    class_id=class_id,
                    person=class_id == PERSON and share >= LARGE,
                    share=share,
                    sure=_surest(seen[inside]),
                    said=0.0 if residual is None else float(residual[inside].mean()),
                    shown=bool(before[inside].mean() > 0.5),
                )


def _blobs(inside: NDArray[np.bool_], rule: ObjectRule) -> Iterator[NDArray[np.bool_]]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8))
    least = rule.smallest * inside.size
    for k in range(1, count):
        if stats[k, cv2.CC_STAT_AREA] >= least:
            yield labels == k


def _surest(values: NDArray[np.float32]) -> float:
    place = min(int(_SURE_PERCENTILE * len(values)), len(values) - 1)
    return float(np.partition(values, place)[place])
