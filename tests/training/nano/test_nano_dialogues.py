"""Streams of two people are reproducible and say who speaks; on a talker made here."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from stream_avs.training.nano.assets import IGNORE, PERSON, RATE_HZ, Assets, Picture, Talker
from stream_avs.training.nano.dialogues import FPS, KINDS, draw_dialogue
from stream_avs.training.nano.exam import SPACING_S

FRAMES = 12


def talker(name: str, grey: int) -> Talker:
    masks = np.zeros((75, 96, 120), np.bool_)
    masks[:, 20:, 30:90] = True
    frames = np.full((75, 96, 120, 3), grey, np.uint8)
    audio = 0.1 * np.random.default_rng(grey).standard_normal(75 * RATE_HZ // FPS).astype(np.float32)
    return Talker(name=name, frames=frames, masks=masks, audio=audio, speech=(20, 60))


@pytest.fixture(scope="module")
def assets() -> Assets:
    """Two talkers, a picture with a person and one without."""
    ids = np.zeros((200, 200), np.uint8)
    ids[40:160, 60:130] = PERSON
    rgb = np.full((200, 200, 3), 90, np.uint8)
    pictures = [Picture(name="p", rgb=rgb, ids=ids), Picture(name="q", rgb=rgb, ids=np.zeros_like(ids))]
    made = SimpleNamespace(
        talkers=[talker("a", 40), talker("b", 200)], pictures=pictures, noise_folders=[], sounds={}
    )
    return cast(Assets, made)


@pytest.mark.parametrize("kind", KINDS)
def test_the_speaker_sounds_while_the_sentence_lasts(assets: Assets, kind: str) -> None:
    values: set[int] = set()
    for seed in range(4):
        stream = draw_dialogue(assets, kind, np.random.default_rng(seed), FRAMES)
        again = draw_dialogue(assets, kind, np.random.default_rng(seed), FRAMES)
        assert all(np.array_equal(a, b) for a, b in zip(stream.images, again.images, strict=True))
        assert stream.contexts.shape == (FRAMES, 2 * RATE_HZ)
        hop = round(SPACING_S * RATE_HZ)
        assert np.array_equal(stream.contexts[1, :-hop], stream.contexts[0, hop:])
        for target in stream.target:
            values |= set(np.unique(target).tolist())
            left, right = (target[:, :80] == PERSON).sum(), (target[:, 80:] == PERSON).sum()
            assert min(left, right) <= 0.3 * max(left, right)  # one side of the picture
    assert values == {0, PERSON, IGNORE}
