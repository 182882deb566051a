"""People side by side are told apart, one person is not cut."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream_avs.models.nano.persons import split_persons


def bust(canvas: np.ndarray, x: int, size: int = 40) -> None:
    """A head on shoulders that reach the lower edge."""
    height = canvas.shape[0]
    cv2.ellipse(canvas, (x, height - 2 * size), (size // 2, round(0.65 * size)), 0, 0, 360, 1, -1)
    cv2.ellipse(canvas, (x, height), (round(1.1 * size), round(1.4 * size)), 0, 180, 360, 1, -1)


def drawn(*places: int) -> np.ndarray:
    canvas = np.zeros((160, 300), np.uint8)
    for x in places:
        bust(canvas, x)
    return canvas > 0


@given(st.integers(50, 80), st.integers(70, 85), st.integers(70, 85))
def test_people_whose_shoulders_touch_are_cut_between_them(first: int, step: int, second: int) -> None:
    for places in ([first, first + step], [first, first + step, first + step + second]):
        blob = drawn(*places)
        parts = split_persons(blob)
        assert len(parts) == len(places)
        for part, x in zip(parts, places, strict=True):
            assert part[60:100, x].any()  # each has its own head


@given(st.integers(60, 240))
def test_one_person_stays_whole(x: int) -> None:
    parts = split_persons(drawn(x))
    assert len(parts) == 1


@given(st.integers(0, 2**20), st.floats(0.05, 0.95))
def test_parts_make_up_the_blob(seed: int, share: float) -> None:
    noise = np.random.default_rng(seed).random((24, 31)) < share
    noise[12, 15] = True
    _, labels = cv2.connectedComponents(noise.astype(np.uint8))
    blob = labels == labels[12, 15]
    parts = split_persons(blob)
    assert np.array_equal(sum(p.astype(int) for p in parts), blob.astype(int))


def crowded() -> np.ndarray:
    """Two people so close that the outline falls by a tenth of the height between them only."""
    blob = np.zeros((160, 300), np.bool_)
    blob[60:, 60:240] = True
    blob[60:70, 140:160] = False
    return blob


def saying(left: float, right: float) -> np.ndarray:
    residual = np.full((160, 300), left, np.float32)
    residual[:, 150:] = right
    return residual


def test_close_people_are_cut_apart_when_one_of_them_speaks() -> None:
    blob = crowded()
    assert len(split_persons(blob)) == 1
    assert len(split_persons(blob, saying(2.0, 1.0))) == 1
    left, right = split_persons(blob, saying(2.0, -1.0))
    assert np.array_equal(left | right, blob)
    assert left[100, 100]
    assert right[100, 200]
    assert not (left & right).any()


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_a_voice_does_not_cut_one_person(left: float, right: float) -> None:
    assert len(split_persons(drawn(150), saying(left, right))) == 1
