"""Objects stay or go as a whole."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream_avs.models.nano.objects import ObjectRule, keep_objects

RULE = ObjectRule(least=-5.0, gap=1.0, smallest=0.002)


def two(left: float, right: float) -> tuple[np.ndarray, np.ndarray]:
    mask, residual = np.zeros((50, 50), np.uint8), np.zeros((50, 50), np.float32)
    mask[10:30, 5:20] = mask[10:30, 30:45] = 15
    residual[:, :25], residual[:, 25:] = left, right
    return mask, residual


@given(st.floats(-10, 10), st.floats(-10, 10))
def test_of_two_people_the_one_who_stands_out_stays(left: float, right: float) -> None:
    mask, residual = two(left, right)
    kept = keep_objects(mask, residual, RULE)
    a, b = np.float64(residual[20, 10]), np.float64(residual[20, 40])
    assert bool(kept[20, 10]) == bool(a >= -5 and a >= b - 1) or abs(a - b + 1) < 1e-5 or abs(a + 5) < 1e-5
    assert bool(kept[20, 40]) == bool(b >= -5 and b >= a - 1) or abs(b - a + 1) < 1e-5 or abs(b + 5) < 1e-5
    assert set(np.unique(kept[:, :25])) <= {0, 15}


def test_objects_are_whole_even_where_the_trunk_is_not() -> None:
    mask, residual = two(0.0, 0.0)
    residual[15:20, 8:12] = -9.0  # a hole inside the left one
    kept = keep_objects(mask, residual, RULE)
    assert np.array_equal(kept[:, :25], mask[:, :25])


def test_classes_are_not_compared_and_specks_go() -> None:
    mask, residual = two(3.0, -3.0)
    mask[:, 25:][mask[:, 25:] > 0] = 12
    mask[0, 0] = 15
    kept = keep_objects(mask, residual, RULE)
    assert kept[20, 40] == 12
    assert kept[0, 0] == 0
