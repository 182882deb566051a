"""Cut any number of rows into batches of the sizes that were compiled. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def batches(count: int, sizes: Sequence[int] | None) -> list[tuple[int, int]]:
    """Cut `count` rows into batches.

    Args:
        count: rows, 1 or more.
        sizes: batch sizes there are, or None for any.

    Returns:
        (rows taken, batch size) in turn; a batch may be larger than its rows: fill it up.
    """
    if sizes is None:
        return [(count, count)]
    cut, largest = [], max(sizes)
    while count > largest:
        cut.append((largest, largest))
        count -= largest
    cut.append((count, min(size for size in sizes if size >= count)))
    return cut
