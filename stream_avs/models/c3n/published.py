"""Fill C3N's classifiers and tagger from published files, its similarity from a file of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from stream_avs.models.c3n.config import Tagger
from stream_avs.models.c3n.labels import read_similarity
from stream_avs.models.load import BUNDLED, fill, read_weights
from stream_avs.models.network_config import AudioEncoderName
from stream_avs.models.pretrained import find, read_tensors
from stream_avs.models.published import BUNDLED_FILES

if TYPE_CHECKING:
    from stream_avs.models.c3n.network import C3N

MN04_FILE = BUNDLED / BUNDLED_FILES[AudioEncoderName.MN04]


def load_classifiers(network: C3N, folder: Path | None) -> None:
    """Take the ImageNet classifier of the image encoder's file, and mn04's AudioSet classifier.

    Args:
        network: without labels to learn; with a tagger beside its encoders it has one classifier to fill.
        folder: where downloaded files are; None for the default.

    Raises:
        WeightsError: a file is missing, damaged, or without its classifier.
    """
    path = find(network.config.image_encoder, folder)
    head = {key: value for key, value in read_tensors(path).items() if key.startswith("head.")}
    fill(network.seeing[0], {key.removeprefix("head."): value for key, value in head.items()}, str(path))
    if network.config.tagger is not Tagger.OWN:
        return
    tensors = read_weights(MN04_FILE).tensors
    layers = {"classifier.2.": "0.", "classifier.5.": "2."}  # theirs, ours
    hearing = {
        ours + key.removeprefix(theirs): value
        for theirs, ours in layers.items()
        for key, value in tensors.items()
        if key.startswith(theirs)
    }
    fill(network.hearing, hearing, str(MN04_FILE))


def load_tagger(network: C3N) -> None:
    """Take mn04 as it comes with the package, encoder and AudioSet classifier.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    fill(network.tagger, read_weights(MN04_FILE).tensors, str(MN04_FILE))


def load_similarity(network: C3N, path: Path) -> None:
    """Take the similarity of labels seen and heard from a file; see `labels.read_similarity`.

    Raises:
        WeightsError: the file is missing, damaged or does not fit the labels.
    """
    seen, heard = network.similarity.shape
    network.similarity.copy_(torch.from_numpy(read_similarity(path, (seen, heard))))
