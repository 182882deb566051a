"""The VOC palette against its published check values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stream_avs.datasets.palette import AVSS_CLASSES, decode, encode, voc_palette


@pytest.mark.parametrize(
    ("index", "colour"),
    [
        (0, (0, 0, 0)), (1, (128, 0, 0)), (2, (0, 128, 0)), (3, (128, 128, 0)), (4, (0, 0, 128)),
        (5, (128, 0, 128)), (6, (0, 128, 128)), (7, (128, 128, 128)), (8, (64, 0, 0)), (70, (32, 128, 128)),
    ],
)  # fmt: skip
def test_check_values(index: int, colour: tuple[int, int, int]) -> None:
    assert tuple(voc_palette()[index]) == colour


def test_all_71_colours_differ() -> None:
    assert len(np.unique(voc_palette(), axis=0)) == AVSS_CLASSES == 71


@given(hnp.arrays(np.uint8, (4, 5), elements=st.integers(0, 70)))
def test_colours_come_back_as_their_ids(ids: np.ndarray) -> None:
    labels, known = decode(encode(ids))
    np.testing.assert_array_equal(labels, ids)
    assert known.all()


@given(hnp.arrays(np.uint8, (3, 3, 3)))
def test_other_colours_are_unknown_and_background(rgb: np.ndarray) -> None:
    labels, known = decode(rgb)
    in_palette = (rgb[:, :, None, :] == voc_palette()).all(axis=-1).any(axis=-1)
    np.testing.assert_array_equal(known, in_palette)
    assert not labels[~known].any()
