"""What the classifiers learn, against the formula and on batches of composed scenes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from stream_avs.audio.front_end import VGGISH, AudioInput
from stream_avs.datasets.scenes import ProceduralSource, SceneDataset
from stream_avs.errors import ConfigError
from stream_avs.models.c3n.classification import classification_loss
from stream_avs.models.c3n.config import PRESETS
from stream_avs.training.batch import Collate
from stream_avs.training.config import recipe
from stream_avs.training.data import count_taught, open_split

torch.set_num_threads(1)
HEARS = AudioInput((VGGISH,))


def test_is_the_cross_entropy_with_the_classes_that_sound() -> None:
    logits = torch.tensor([[[2.0, 0.0, 1.0], [0.0, 0.0, 3.0], [9.0, 9.0, 9.0]]])
    present = torch.tensor([[[1, 0, 0], [0, 1, 1], [0, 0, 0]]], dtype=torch.bool)
    other = torch.zeros(1, 3, 3)

    def log_softmax(row: list[float], k: int) -> float:
        return row[k] - math.log(sum(math.exp(x) for x in row))

    first = -log_softmax([2, 0, 1], 0)
    second = -(log_softmax([0, 0, 3], 1) + log_softmax([0, 0, 3], 2)) / 2
    expected = ((first + second) / 2 + math.log(3)) / 2
    found = classification_loss([logits, other], present, torch.ones(1, 3, dtype=torch.bool))
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_frames_without_a_class_or_a_label_do_not_count() -> None:
    logits, present = torch.randn(1, 2, 3), torch.zeros(1, 2, 3, dtype=torch.bool)
    assert classification_loss([logits], present, torch.ones(1, 2, dtype=torch.bool)) == 0
    present[0, 1, 2] = True
    assert classification_loss([logits], present, torch.tensor([[True, False]])) == 0


@pytest.mark.parametrize("binary", [True, False])
def test_a_batch_tells_the_classes_of_its_masks(binary: bool) -> None:
    config = recipe("scenes-tiny", kind="c3n").data.scenes.scene
    clips = SceneDataset(ProceduralSource(3, 2), config, length=3)
    batch = Collate(size_px=64, audio=HEARS, binary=binary, named=6)([clips[k] for k in range(3)])
    for k in range(3):
        for t, mask in enumerate(clips[k].masks):
            there = {int(c) for c in np.unique(mask)} - {0}
            assert {c + 1 for c in range(6) if batch.present[k, t, c]} == there


def test_wants_the_data_sets_own_classes() -> None:
    config = recipe("scenes-tiny", kind="c3n")
    clips = open_split(config.data, "val", config.model, HEARS, 3)
    assert count_taught(config.model, clips) == 6
    with pytest.raises(ConfigError, match=r"airplane.*red disc"):
        count_taught(PRESETS["nano"], clips)
