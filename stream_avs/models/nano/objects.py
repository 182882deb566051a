"""Whole objects sound, not parts of them: what speaks for each, and which of them stay.

An object is a connected blob of one class; people are told apart further. It goes if the eye is
nowhere sure of it. Of several people those go who, by their movements with the voice and by the trunk's
mask, speak clearly less than the one who speaks most. One person alone never goes: what trunk and
movements say against a single person is wrong too often.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from stream_avs.models.nano.persons import split_persons
from stream_avs.models.nano.synchrony import CELLS, Synchrony

PERSON = 15
LARGE = 0.01
"""Share of the picture from which on a person's movements can be told."""
KNOWN_S = (0.8, 1.4)
"""Movements begin to count when the sums hold so many seconds, and count in full when they hold so many
(1 s and 2.4 s after a beginning or a cut)."""
SPREAD = 0.045
"""Standard deviation of loudness, mel units, from which on movements can go along with it (1 dB)."""
_SAID_MOST = 3.0
"""The trunk is no surer than this, in logits."""
_SURE_PERCENTILE = 0.95
_MOST = 3
_INSIDE = 0.6
_CELLS_LEAST = 8
_GAIN_FLOOR = 1e-3
_CORRELATION_WEIGHT = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectRule:
    """Which objects stay.

    Attributes:
        smallest: share of the picture under which an object is left out.
        clear: probability that the eye must give to the surest pixels of an object.
        behind: a person who speaks this much less than another does not speak.
        trust: weight of the trunk's mean mask over a person, against the match of its movements.
        shown: who is shown already stays until this much further behind.
        split: tell people apart who stand side by side.
    """

    smallest: float = 0.002
    clear: float = 0.0
    behind: float = 50.0
    trust: float = 1.0
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
        said: mean mask of the trunk.
        match: how well its movements go along with the loudness, see `movement`; nan if not known.
        shown: whether most of it was in the mask before.
    """

    inside: NDArray[np.bool_]
    class_id: int
    person: bool
    share: float
    sure: float
    said: float
    match: float
    shown: bool


def keep_objects(
    mask: NDArray[np.uint8],
    seen: NDArray[np.float32],
    residual: NDArray[np.float32] | None,
    synchrony: Synchrony,
    before: NDArray[np.bool_],
    rule: ObjectRule,
) -> NDArray[np.uint8]:
    """Remove the objects that do not sound.

    Args:
        mask: uint8 [h, w], class ids on which eye and ear agree.
        seen: float32 [h, w], how sure the eye is of each pixel's class.
        residual: float32 [h, w], the trunk's mask, logits; None leaves it out.
        synchrony: up to this frame.
        before: bool [h, w], the mask before.
        rule: see `ObjectRule`.

    Returns:
        uint8 [h, w], a part of `mask`.
    """
    things = [t for t in find_things(mask, seen, residual, synchrony, before, rule) if t.sure >= rule.clear]
    kept = np.zeros_like(mask)
    people = speakers([t for t in things if t.person], how_known(synchrony), rule)
    for thing in [*(t for t in things if not t.person), *people]:
        kept[thing.inside] = thing.class_id
    return kept


def speakers(people: list[Thing], known: float, rule: ObjectRule) -> list[Thing]:
    """Those who may speak: the best, and all who are not clearly behind; `known`, 0..1, weighs movements."""
    told = not any(math.isnan(person.match) for person in people)

    def speaks(person: Thing) -> float:
        said = min(max(person.said, -_SAID_MOST), _SAID_MOST)
        return rule.trust * said + (known * person.match if told else 0.0)

    best = max((speaks(person) for person in people), default=0.0)
    return [p for p in people if speaks(p) >= best - rule.behind - (rule.shown if p.shown else 0.0)]


def how_known(synchrony: Synchrony) -> float:
    """Weight 0..1 of movements: by how long they were watched, nothing while the sound is even."""
    least, full = KNOWN_S
    weight = min(max((synchrony.seconds - least) / (full - least), 0.0), 1.0)
    return weight if synchrony.spread >= SPREAD else 0.0


def find_things(
    mask: NDArray[np.uint8],
    seen: NDArray[np.float32],
    residual: NDArray[np.float32] | None,
    synchrony: Synchrony,
    before: NDArray[np.bool_],
    rule: ObjectRule,
) -> Iterator[Thing]:
    """Objects of at least `rule.smallest`; see `keep_objects`."""
    known = how_known(synchrony) > 0
    for class_id in (int(i) for i in np.unique(mask[mask > 0])):
        for inside in _blobs(mask == class_id, rule, split=rule.split and class_id == PERSON):
            share = float(inside.mean())
            person = class_id == PERSON and share >= LARGE
            yield Thing(
                inside=inside,
                class_id=class_id,
                person=person,
                share=share,
                sure=_surest(seen[inside]),
                said=0.0 if residual is None else float(residual[inside].mean()),
                match=movement(inside, synchrony) if person and known else math.nan,
                shown=bool(before[inside].mean() > 0.5),
            )


def movement(inside: NDArray[np.bool_], synchrony: Synchrony) -> float:
    """Log gain plus twice the correlation of the cells that go along most with the loudness.

    The gain tells a speaker from one who rests, the correlation one who speaks from one who moves.
    Cells at the outline are left out: there the background comes and goes. nan for small objects.
    """
    cover = cv2.resize(inside.astype(np.float32), (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    cells = (cover > _INSIDE).astype(np.uint8)
    for times in (2, 1, 0):
        inner = cv2.erode(cells, np.ones((3, 3), np.uint8), iterations=times) if times else cells
        if int(inner.sum()) >= _CELLS_LEAST:
            chosen = inner > 0
            gain = math.log(max(_most(synchrony.gain[chosen]), _GAIN_FLOOR))
            return gain + _CORRELATION_WEIGHT * _most(synchrony.correlation[chosen])
    return math.nan


def _blobs(inside: NDArray[np.bool_], rule: ObjectRule, *, split: bool) -> Iterator[NDArray[np.bool_]]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8))
    least = rule.smallest * inside.size
    for k in range(1, count):
        if stats[k, cv2.CC_STAT_AREA] >= least:
            blob = labels == k
            yield from split_persons(blob) if split else [blob]


def _most(values: NDArray[np.float32]) -> float:
    return float(np.sort(values)[-_MOST:].mean())


def _surest(values: NDArray[np.float32]) -> float:
    place = min(int(_SURE_PERCENTILE * len(values)), len(values) - 1)
    return float(np.partition(values, place)[place])
