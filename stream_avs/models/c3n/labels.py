"""Label text to vectors, so that what is seen and what is heard can be compared (C3N's S).

The authors compare embeddings of a large language model and do not publish their matrix. Here a label
is the bag of its words and of what they are a kind of, by a small hand-made tree (`hypernyms.json`):
"Meow" is a cat, and a cat is an animal. Each step up the tree weighs half. The cosine of two labels is
then 1 for the same words, high for a thing and its sound, low for two things of one kind, and 0 for
what has nothing in common. A word that the tree does not know is comparable with itself alone.
Imports no torch.
"""

from __future__ import annotations

import csv
import functools
import importlib.resources
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_avs.errors import WeightsError

STEP = 0.5
"""Weight of a word one step further up the tree."""
VOC_LABELS = (
    "airplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "dining table",
    "dog", "horse", "motorcycle", "person", "potted plant", "sheep", "sofa", "train", "tv",
)  # fmt: skip
"""The 20 Pascal VOC classes in the order of their ids 1..20."""
SCENE_LABELS = ("red disc", "blue disc", "red square", "blue square", "red triangle", "blue triangle")
"""The classes of composed scenes of three shapes in two colours, in the order of their ids 1..6."""
_FILLERS = frozenset({"a", "and", "etc", "in", "of", "on", "or", "s", "sound", "sounds", "the", "with"})


@functools.cache
def audioset_labels() -> tuple[str, ...]:
    """The 527 AudioSet labels in the order of mn04's outputs."""
    folder = importlib.resources.files("stream_avs.models") / "weights"
    text = (folder / "audioset_class_labels_indices.csv").read_text(encoding="utf-8")
    return tuple(row["display_name"] for row in csv.DictReader(text.splitlines()))


def resembles_audioset(label: str) -> bool:
    """Whether the similarity of a label with any of AudioSet's is above 0."""
    return not _audioset_words().isdisjoint(bag(label))


@functools.cache
def imagenet_labels() -> tuple[str, ...]:
    """What kind of thing each of ImageNet's 1000 classes is, where that kind makes a sound; else ""."""
    data = (importlib.resources.files(__package__) / "imagenet_kinds.json").read_bytes()
    kinds = msgspec.json.decode(data, type=dict[str, list[tuple[int, int]]])
    labels = [""] * 1000
    for kind, ranges in kinds.items():
        for first, last in ranges:
            labels[first : last + 1] = [kind] * (last + 1 - first)
    return tuple(labels)


def similarity(seen: Sequence[str], heard: Sequence[str]) -> NDArray[np.float32]:
    """Cosine of every label seen with every label heard.

    Args:
        seen: V label texts.
        heard: A label texts.

    Returns:
        float32 [V, A], 0..1.
    """
    bags = [bag(label) for label in (*seen, *heard)]
    places = {word: i for i, word in enumerate(sorted(set().union(*bags)))}
    vectors = np.zeros((len(bags), max(1, len(places))))
    for row, words in zip(vectors, bags, strict=True):
        for word, weight in words.items():
            row[places[word]] = weight
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return np.clip(vectors[: len(seen)] @ vectors[len(seen) :].T, 0, 1).astype(np.float32)


def read_similarity(path: Path, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Read a matrix of one's own, e.g. from a language model.

    Args:
        path: a .npy file, [V, A], finite and not negative.
        shape: (V, A).

    Raises:
        WeightsError: missing, damaged, of another shape or with other values.
    """
    try:
        matrix = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise WeightsError(f"similarity file {path} does not exist", "Check the path") from None
    except (OSError, ValueError, EOFError) as error:
        raise WeightsError(
            f"similarity file {path} cannot be read: {error}", "Write it with numpy.save"
        ) from None
    if not isinstance(matrix, np.ndarray) or matrix.shape != shape or matrix.dtype.kind not in "fiu":
        found = f"{matrix.dtype} {list(matrix.shape)}" if isinstance(matrix, np.ndarray) else "an archive"
        raise WeightsError(
            f"similarity file {path} holds {found}",
            f"Expected numbers {list(shape)}: labels seen by labels heard",
        )
    if not (np.isfinite(matrix).all() and (matrix >= 0).all()):
        raise WeightsError(f"similarity file {path} has negative or infinite values", "Expected 0 to 1")
    return matrix.astype(np.float32)


def bag(label: str) -> dict[str, float]:
    """Words of a label and their hypernyms with weights, e.g. "Meow" -> meow 1, cat 0.5, animal 0.25."""
    words: dict[str, float] = {}
    for word in re.findall(r"[a-z]+", label.lower()):
        if word in _FILLERS:
            continue
        weight, step = 1.0, _known(word)
        while step:
            words[step] = max(weight, words.get(step, 0.0))
            weight, step = weight * STEP, hypernyms().get(step, "")
    return words


@functools.cache
def _audioset_words() -> frozenset[str]:
    return frozenset(word for label in audioset_labels() for word in bag(label))


@functools.cache
def hypernyms() -> Mapping[str, str]:
    """The tree: what each word is a kind of."""
    data = (importlib.resources.files(__package__) / "hypernyms.json").read_bytes()
    kinds = msgspec.json.decode(data, type=dict[str, list[str]])
    return {word: kind for kind, words in kinds.items() for word in words}


def _known(word: str) -> str:
    """The word, or its singular when the tree has only that."""
    tree = hypernyms()
    singular = word.removesuffix("s")
    return singular if word not in tree and singular in tree else word
