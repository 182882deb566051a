"""Objects stay or go as a whole: the eye is sure of them, and of several people the speakers stay."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream_avs.models.nano.objects import ObjectRule, keep_objects

PERSON, DOG = 15, 12
SHAPE = (80, 80)
LEFT = (slice(16, 64), slice(4, 34))
RIGHT = (slice(16, 64), slice(44, 74))
RULE = ObjectRule(clear=0.8, behind=1.0, shown=0.5)


def two(class_id: int = PERSON) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[LEFT] = mask[RIGHT] = class_id
    return mask


def saying(left: float, right: float) -> np.ndarray:
    """What the trunk says of the two sides, logits."""
    residual = np.empty(SHAPE, np.float32)
    residual[:, : SHAPE[1] // 2], residual[:, SHAPE[1] // 2 :] = left, right
    return residual


def kept(
    mask: np.ndarray,
    residual: np.ndarray | None,
    *,
    seen: np.ndarray | None = None,
    before: np.ndarray | None = None,
) -> tuple[bool, bool]:
    """Whether the left and the right object stay; neither may stay in part."""
    sure = np.ones(SHAPE, np.float32) if seen is None else seen
    was = np.zeros(SHAPE, np.bool_) if before is None else before
    result = keep_objects(mask, sure, residual, was, RULE)
    sides = []
    for place in (LEFT, RIGHT):
        assert np.unique(result[place]).size == 1
        sides.append(bool(result[place].any()))
    assert not result[mask == 0].any()
    return sides[0], sides[1]


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_of_two_people_the_one_who_speaks_most_always_stays(left: float, right: float) -> None:
    stayed = kept(two(), saying(left, right))
    assert any(stayed)
    assert stayed[0] or left < right
    if abs(left - right) > 1.01:
        assert stayed == (left > right, right > left)
    if abs(left - right) < 0.99:
        assert stayed == (True, True)


def test_nobody_goes_when_nothing_is_said_or_when_both_surely_speak() -> None:
    assert kept(two(), None) == (True, True)
    assert kept(two(), saying(4.0, 9.0)) == (True, True)


@given(st.floats(-9, 9))
def test_one_person_alone_never_goes(said: float) -> None:
    mask = two()
    mask[RIGHT] = 0
    assert kept(mask, saying(said, 0.0)) == (True, False)


def test_who_is_shown_stays_a_little_longer() -> None:
    mask = two()
    assert kept(mask, saying(0.0, 1.3)) == (False, True)
    assert kept(mask, saying(0.0, 1.3), before=mask > 0) == (True, True)
    assert kept(mask, saying(0.0, 1.7), before=mask > 0) == (False, True)


def test_what_the_trunk_says_does_not_decide_about_animals() -> None:
    assert kept(two(DOG), saying(-9.0, 3.0)) == (True, True)


def test_the_mean_over_a_person_counts() -> None:
    residual = saying(-2.0, 0.0)
    residual[20:24, 50:54] = -8.0  # a hole inside the right one
    assert kept(two(), residual) == (False, True)


def test_what_the_eye_is_nowhere_sure_of_goes() -> None:
    seen = np.full(SHAPE, 0.7, np.float32)
    seen[RIGHT][:12] = 0.95
    assert kept(two(DOG), None, seen=seen) == (False, True)


def test_specks_go() -> None:
    mask = two(DOG)
    mask[0, 0] = DOG
    never = np.zeros(SHAPE, np.bool_)
    result = keep_objects(mask, np.ones(SHAPE, np.float32), None, never, ObjectRule(smallest=0.002))
    assert result[0, 0] == 0
    assert result[20, 10] == DOG
