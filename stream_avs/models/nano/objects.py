"""Whole objects sound, not parts of them: what speaks for each, and which of them stay.

An object is a connected blob of one class; people are told apart further. It goes for one of four
reasons: the eye is nowhere sure of it; the trunk forbids it; it is a person who does not move with the
voice at all; or somebody else clearly moves with the voice and it does not as much.
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
KNOWN_S = 0.7
"""Time of which something must be known before movements count."""
SPREAD = 0.09
"""Standard deviation of loudness, mel units, from which on movements can go along with it (2 dB)."""
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
        least: mean mask of the trunk under which an object does not sound.
        still: match under which a person does not speak.
        behind: a person whose match is this much under another's does not speak.
        shown: who is shown already stays until the match is this much worse.
        split: tell people apart who stand side by side.
    """

    smallest: float = 0.002
    clear: float = 0.0
    least: float = -50.0
    still: float = -50.0
    behind: float = 50.0
    shown: float = 0.0
    split: bool = True


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Thing:
    """One object.

    Attributes:
        inside: bool [h, w].
        class_id: its class.
        share: of the picture.
        sure: probability of its class at its surest pixels.
        said: mean mask of the trunk.
        match: how well its movements go along with the loudness, see `movement`; nan if not known.
        shown: whether most of it was in the mask before.
    """

    inside: NDArray[np.bool_]
    class_id: int
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
    things = list(find_things(mask, seen, residual, synchrony, before, rule))
    kept = np.zeros_like(mask)
    for thing in things:
        if stays(thing, things, rule):
            kept[thing.inside] = thing.class_id
    return kept


def stays(thing: Thing, things: list[Thing], rule: ObjectRule) -> bool:
    """Whether an object stays among all objects of the picture."""
    if thing.sure < rule.clear or thing.said < rule.least:
        return False
    if math.isnan(thing.match):
        return True
    slack = rule.shown if thing.shown else 0.0
    rivals = [t.match for t in things if t.sure >= rule.clear and not math.isnan(t.match)]
    return thing.match >= max(rule.still, max(rivals, default=-math.inf) - rule.behind) - slack


def find_things(
    mask: NDArray[np.uint8],
    seen: NDArray[np.float32],
    residual: NDArray[np.float32] | None,
    synchrony: Synchrony,
    before: NDArray[np.bool_],
    rule: ObjectRule,
) -> Iterator[Thing]:
    """Objects of at least `rule.smallest`; see `keep_objects`."""
    known = synchrony.seconds >= KNOWN_S and synchrony.spread >= SPREAD
    for class_id in (int(i) for i in np.unique(mask[mask > 0])):
        for inside in _blobs(mask == class_id, rule, split=rule.split and class_id == PERSON):
            share = float(inside.mean())
            moves = known and class_id == PERSON and share >= LARGE
            yield Thing(
                inside=inside,
                class_id=class_id,
                share=share,
                sure=_surest(seen[inside]),
                said=0.0 if residual is None else float(residual[inside].mean()),
                match=movement(inside, synchrony) if moves else math.nan,
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
