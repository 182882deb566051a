"""Objects stay or go as a whole: the eye is sure of them, and of several people the speakers stay."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_avs.models.nano.objects import ObjectRule, keep_objects
from stream_avs.models.nano.synchrony import CELLS, Synchrony

PERSON, DOG = 15, 12
SHAPE = (80, 80)
LEFT = (slice(16, 64), slice(4, 34))
RIGHT = (slice(16, 64), slice(44, 74))
RULE = ObjectRule(clear=0.8, behind=1.0, trust=1.0, shown=0.5)


def two(class_id: int = PERSON) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[LEFT] = mask[RIGHT] = class_id
    return mask


def moving(left: float, right: float, *, seconds: float = 2.0, spread: float = 0.3) -> Synchrony:
    """Log gains of two persons, no correlation."""
    gain = np.empty((CELLS, CELLS), np.float32)
    gain[:, : CELLS // 2], gain[:, CELLS // 2 :] = np.exp(left), np.exp(right)
    return Synchrony(seconds=seconds, spread=spread, gain=gain, correlation=np.zeros_like(gain))


def kept(
    mask: np.ndarray,
    synchrony: Synchrony,
    *,
    seen: np.ndarray | None = None,
    residual: np.ndarray | None = None,
    before: np.ndarray | None = None,
) -> tuple[bool, bool]:
    """Whether the left and the right object stay; neither may stay in part."""
    sure = np.ones(SHAPE, np.float32) if seen is None else seen
    was = np.zeros(SHAPE, np.bool_) if before is None else before
    result = keep_objects(mask, sure, residual, synchrony, was, RULE)
    sides = []
    for place in (LEFT, RIGHT):
        assert np.unique(result[place]).size == 1
        sides.append(bool(result[place].any()))
    assert not result[mask == 0].any()
    return sides[0], sides[1]


@given(st.floats(-5, 3), st.floats(-5, 3))
def test_of_two_people_who_move_with_the_voice_the_best_always_stays(left: float, right: float) -> None:
    stayed = kept(two(), moving(left, right))
    assert any(stayed)
    assert stayed[0] or left < right
    if abs(left - right) > 1.01:
        assert stayed == (left > right, right > left)
    if abs(left - right) < 0.99:
        assert stayed == (True, True)


@pytest.mark.parametrize(
    "little", [moving(-9, 3, seconds=0.3), moving(-9, 3, spread=0.01)], ids=["too short", "even sound"]
)
def test_what_is_not_known_removes_nobody(little: Synchrony) -> None:
    assert kept(two(), little) == (True, True)


@given(st.floats(-9, 3), st.floats(-9, 9))
def test_one_person_alone_never_goes(left: float, said: float) -> None:
    mask = two()
    mask[RIGHT] = 0
    assert kept(mask, moving(left, 0), residual=np.full(SHAPE, said, np.float32)) == (True, False)


def test_who_is_shown_stays_a_little_longer() -> None:
    mask = two()
    assert kept(mask, moving(0.0, 1.3)) == (False, True)
    assert kept(mask, moving(0.0, 1.3), before=mask > 0) == (True, True)
    assert kept(mask, moving(0.0, 1.7), before=mask > 0) == (False, True)


def test_movements_do_not_decide_about_animals() -> None:
    assert kept(two(DOG), moving(-9, 3)) == (True, True)


def test_the_trunk_decides_between_people_whose_movements_are_not_known() -> None:
    residual = np.zeros(SHAPE, np.float32)
    residual[LEFT] = -2.0
    residual[20:24, 50:54] = -8.0  # a hole inside the right one
    assert kept(two(), moving(0, 0, seconds=0.0), residual=residual) == (False, True)
    assert kept(two(), moving(2, 0), residual=residual) == (True, True)
    assert kept(two(DOG), moving(0, 0, seconds=0.0), residual=residual) == (True, True)


def test_what_the_eye_is_nowhere_sure_of_goes() -> None:
    seen = np.full(SHAPE, 0.7, np.float32)
    seen[RIGHT][:12] = 0.95
    assert kept(two(DOG), moving(0, 0), seen=seen) == (False, True)


def test_specks_go() -> None:
    mask = two(DOG)
    mask[0, 0] = DOG
    rule = ObjectRule(smallest=0.002)
    result = keep_objects(
        mask, np.ones(SHAPE, np.float32), None, moving(0, 0), np.zeros(SHAPE, np.bool_), rule
    )
    assert result[0, 0] == 0
    assert result[20, 10] == DOG
