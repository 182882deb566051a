"""Label similarity against its definition, and against the hand-made table of what makes which sound."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_avs.errors import WeightsError
from stream_avs.models.c3n.labels import (
    VOC_LABELS,
    audioset_labels,
    bag,
    hypernyms,
    read_similarity,
    similarity,
)

LABELS = st.lists(st.text("abcdef ,-()", max_size=12), min_size=1, max_size=6)


def test_a_sound_is_its_source_and_its_source_an_animal() -> None:
    assert bag("Meow") == {"meow": 1.0, "cat": 0.5, "animal": 0.25}


def test_a_word_weighs_as_its_nearest_mention() -> None:
    assert bag("Cat meow") == {"meow": 1.0, "cat": 1.0, "animal": 0.5}


def test_cosine_by_hand() -> None:
    # (meow 1, cat 1/2, animal 1/4) and (dog 1, animal 1/2)
    expected = (1 / 4 * 1 / 2) / np.sqrt((1 + 1 / 4 + 1 / 16) * (1 + 1 / 4))
    assert similarity(["dog"], ["Meow"])[0, 0] == pytest.approx(expected, rel=1e-6)


def test_the_tree_has_no_circle() -> None:
    for word in hypernyms():
        assert len(bag(word)) >= 2


@given(LABELS)
def test_a_label_is_like_itself(labels: list[str]) -> None:
    matrix = similarity(labels, labels)
    assert np.allclose(matrix, matrix.T, atol=1e-6)
    assert matrix.min() >= 0
    assert matrix.max() <= 1
    known = np.array([bool(bag(label)) for label in labels])
    assert np.allclose(np.diag(matrix)[known], 1, atol=1e-6)
    assert not np.diag(matrix)[~known].any()


def test_sounds_are_nearest_to_what_makes_them() -> None:
    """Of the 155 sounds that the consensus preset's table gives to a VOC class, nine in ten agree."""
    table = json.loads((files("stream_avs.models.consensus") / "label_table.json").read_text())
    makers: dict[int, set[int]] = {}
    for entry in table["classes"]:
        for index in entry["audioset"].values():
            makers.setdefault(index, set()).add(entry["id"])
    matrix = similarity(VOC_LABELS, audioset_labels())
    right = [matrix[:, i].any() and int(matrix[:, i].argmax()) + 1 in ids for i, ids in makers.items()]
    assert len(right) == 155
    assert sum(right) >= 140


def test_a_matrix_of_ones_own(tmp_path: Path) -> None:
    matrix = np.random.default_rng(0).random((3, 4)).astype(np.float32)
    np.save(tmp_path / "own.npy", matrix)
    assert np.array_equal(read_similarity(tmp_path / "own.npy", (3, 4)), matrix)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (np.zeros((4, 3)), "holds float64"),
        (np.full((3, 4), -1.0), "negative"),
        (np.full((3, 4), np.nan), "infinite"),
        (np.full((3, 4), "x"), "holds"),
        (np.full((3, 4), None), "cannot be read"),  # would need unpickling
        (None, "does not exist"),
    ],
)
def test_a_matrix_that_does_not_fit(tmp_path: Path, content: np.ndarray | None, said: str) -> None:
    path = tmp_path / "own.npy"
    if content is not None:
        np.save(path, content)
    with pytest.raises(WeightsError, match=said):
        read_similarity(path, (3, 4))
