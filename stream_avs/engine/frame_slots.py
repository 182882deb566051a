"""Which frame of a stream lies in which slot, and which slots a new frame looks at. Pure bookkeeping."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """A frame whose features are kept.

    Attributes:
        seq, stamp_ns: of the frame.
        order: running number of the placement; tells repeats of one frame apart.
    """

    seq: int
    stamp_ns: int
    order: int


class FrameSlots:
    """The slots of one stream.

    Args:
        slots: how many there are, at least 1.
    """

    def __init__(self, slots: int) -> None:
        self._kept: list[Kept | None] = [None] * slots
        self._placed = 0

    def __len__(self) -> int:
        return len(self._kept)

    def grow(self, slots: int) -> None:
        """Add empty slots until there are `slots`."""
        self._kept += [None] * (slots - len(self._kept))

    def find(self, seq: int) -> int | None:
        """Slot of frame `seq`, the latest placed if it was placed more than once."""
        found = [(kept.order, slot) for slot, kept in self._filled() if kept.seq == seq]
        return max(found)[1] if found else None

    def crowded(self, since_ns: int, needed: Collection[int]) -> bool:
        """True if the next placement would lose a frame not older than `since_ns`."""
        full = len(self._filled()) == len(self._kept)
        return full and not any(k.stamp_ns < since_ns for s, k in self._filled() if s not in needed)

    def place(self, seq: int, stamp_ns: int, *, needed: Collection[int] = (), since_ns: int = 0) -> int:
        """Take a slot for a frame and return it.

        Args:
            seq, stamp_ns: of the frame.
            needed: slots that must stay as they are; not all of them.
            since_ns: frames older than this are of no more use and go first. When all are of use
                one of the densest goes, so that what is left still spans the same time; 0 lets the
                oldest go.
        """
        slot = self._victim(set(needed), since_ns)
        self._kept[slot] = Kept(seq=seq, stamp_ns=stamp_ns, order=self._placed)
        self._placed += 1
        return slot

    def before(self, slot: int, count: int, spacing_ns: int) -> list[int]:
        """Slots of the frames placed before that the frame in `slot` looks back at, nearest first.

        Args:
            slot: of the newest frame.
            count: how many at most.
            spacing_ns: 0 takes the `count` placed last; otherwise the k-th is the one nearest to
                `stamp - k * spacing_ns`, within half a spacing, and may be missing.
        """
        newest = self._kept[slot]
        assert newest is not None
        older = [(k, s) for s, k in self._filled() if s != slot and k.order < newest.order]
        if not spacing_ns:
            return [s for _, s in sorted(older, key=lambda pair: -pair[0].order)[:count]]
        found = []
        for step in range(1, count + 1):
            target_ns = newest.stamp_ns - step * spacing_ns
            near = [
                (abs(k.stamp_ns - target_ns), -k.order, s)
                for k, s in older
                if -spacing_ns < 2 * (k.stamp_ns - target_ns) <= spacing_ns
            ]
            if near:
                found.append(min(near)[2])
        return found

    def _filled(self) -> list[tuple[int, Kept]]:
        return [(slot, kept) for slot, kept in enumerate(self._kept) if kept is not None]

    def _victim(self, needed: set[int], since_ns: int) -> int:
        for slot, kept in enumerate(self._kept):
            if kept is None:
                return slot
        free = [(kept, slot) for slot, kept in self._filled() if slot not in needed]
        if not free:
            raise ValueError(f"all {len(self._kept)} slots are needed")
        by_age = sorted(free, key=lambda pair: (pair[0].seq, pair[0].order))
        oldest = by_age[0]
        if not since_ns or oldest[0].stamp_ns < since_ns or len(by_age) < 3:
            return oldest[1]
        gaps = [
            (after[0].stamp_ns - before[0].stamp_ns, middle[1])
            for before, middle, after in zip(by_age, by_age[1:], by_age[2:], strict=False)
        ]
        return min(gaps)[1]
