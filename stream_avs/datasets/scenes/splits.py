"""Share assets out to train, val and test so that no picture or recording is in two of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping

from stream_avs.datasets.sample import SPLITS

SHARES = (0.7, 0.15, 0.15)


def split_assets(classes_of: Mapping[str, frozenset[int]]) -> dict[str, str]:
    """Give every asset a split, 70 : 15 : 15 within each class as far as assets allow.

    Rare classes are served first, in an order that the asset's name alone decides; a class with three
    or more assets of its own has at least one in each split.

    Args:
        classes_of: asset name -> the classes it shows or sounds like.

    Returns:
        Asset name -> train, val or test.
    """
    sizes = Counter(c for classes in classes_of.values() for c in classes)
    result: dict[str, str] = {}
    for class_id in sorted(sizes, key=lambda c: (sizes[c], c)):
        members = sorted((n for n, classes in classes_of.items() if class_id in classes), key=_place)
        placed = Counter(result[name] for name in members if name in result)
        for name in members:
            if name not in result:
                split = _neediest(placed)
                result[name] = split
                placed[split] += 1
    for name in classes_of:
        result.setdefault(name, "train")
    return result


def _neediest(placed: Counter[str]) -> str:
    """Which split the next asset goes to: one without any first, then the one farthest below its share."""
    empty = [split for split in SPLITS if not placed[split]]
    if empty:
        return empty[0]
    total = sum(placed.values()) + 1
    lack = {split: share * total - placed[split] for split, share in zip(SPLITS, SHARES, strict=True)}
    return max(SPLITS, key=lambda split: lack[split])


def _place(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
