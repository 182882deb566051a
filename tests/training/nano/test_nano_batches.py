"""Pieces of a bank keep pictures, sounds and targets together, and the loss asks who speaks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stream_avs.models.consensus.table import read_table
from stream_avs.models.nano.config import NanoConfig
from stream_avs.models.nano.network import Nano, NanoOutput
from stream_avs.models.nano.synchrony import CELLS
from stream_avs.training.nano import bank as banks
from stream_avs.training.nano.assets import IGNORE, PERSON
from stream_avs.training.nano.batches import Batch, Sampler
from stream_avs.training.nano.clips import FRAMES, Counts
from stream_avs.training.nano.fit_listener import listened
from stream_avs.training.nano.objective import Said, loss_of_speakers, said_of

DOG = 12
IDS = torch.tensor(read_table().ids.tolist())
LEFT, RIGHT = np.s_[8:32, 2:16], np.s_[8:32, 24:38]


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> banks.Bank:
    """A pair of 12 frames whose frame k moves by k and sounds like k, and a dog with two sounds."""
    folder = tmp_path_factory.mktemp("bank")
    visual = banks._Rows(folder, banks._VISUAL, 13)
    audio = banks._Rows(folder, banks._AUDIO, 12 + 2 * FRAMES)
    seen = np.full((21, CELLS, CELLS), -9.0)
    for k in range(13):
        person = k < 12
        ids, log_seen = np.zeros((CELLS, CELLS), np.uint8), seen.copy()
        ids[LEFT] = PERSON if person else DOG
        for place in (LEFT, RIGHT) if person else (LEFT,):
            log_seen[(PERSON if person else DOG, *place)] = 0.0
        maps = {n: np.full((CELLS, CELLS), 0.01 * k) for n in ("own", "gain", "correlation")}
        moved = np.full((2, CELLS, CELLS), float(k))
        visual.add(log_seen=log_seen, motion=moved, seconds=0.1 * k, spread=0.1, ids=ids, **maps)
    for k in range(12 + 2 * FRAMES):
        heard = np.zeros(21, np.int8)
        heard[DOG] = 12 <= k < 12 + FRAMES
        audio.add(evidence=np.full((8, 15), float(k)), levels=np.full(26, float(k)), heard=heard)
    clips = [
        {"first": 0, "count": 12, "track": 0, "kind": "two"},
        {"first": 12, "count": 1, "track": -1, "kind": "still"},
    ]
    index = {"clips": clips, "tracks": [0, 12, 12 + FRAMES], "credits": {}}
    (folder / "index.json").write_text(json.dumps(index))
    return banks.Bank(Path(folder))


@pytest.fixture(scope="module")
def batch(bank: banks.Bank) -> Batch:
    return Sampler(bank).draw(np.random.default_rng(0), 64)


def test_people_keep_their_own_sound_frame_by_frame(batch: Batch) -> None:
    assert set(batch.kinds) == {"two", "still"}
    starts = set()
    for k, kind in enumerate(batch.kinds):
        rows = slice(k * FRAMES, (k + 1) * FRAMES)
        sounds = batch.sound.levels[rows, 0]
        assert torch.equal(sounds.diff(), torch.ones(FRAMES - 1))
        if kind == "two":
            starts.add(int(sounds[0]))
            moved = batch.seen.motion[rows, 0, 0, 0]
            strength = float(moved[1] - moved[0])  # faster or slower, or not at all
            torch.testing.assert_close(moved, strength * sounds)
            assert int((batch.target[rows] == PERSON).sum()) == FRAMES * 24 * 14
        else:
            barks = int(sounds[0]) == 12
            assert torch.equal(batch.target[rows] == DOG, batch.target[rows] > 0)
            assert bool((batch.target[rows] == DOG).any()) == barks
    assert len(starts) > 3


def test_sometimes_nothing_is_known_of_movements(batch: Batch) -> None:
    pairs = [k for k, kind in enumerate(batch.kinds) if kind == "two"]
    seconds = torch.stack([batch.seen.movements.seconds[k * FRAMES + FRAMES - 1] for k in pairs])
    assert 0 < float((seconds == 0).float().mean()) < 0.5


def output_of(batch: Batch, left: float, right: float) -> NanoOutput:
    count = len(batch.target)
    residual = torch.full((1, count, 1, 20, 20), left)
    residual[..., 10:] = right
    return NanoOutput(
        logits=torch.zeros(0),
        heard=torch.full((1, count, len(IDS)), 3.0),
        residual=residual,
        sounding=torch.zeros(0),
        queries=torch.zeros(0),
    )


def test_what_is_said_of_speakers_and_listeners(batch: Batch) -> None:
    said = said_of(output_of(batch, 2.0, 2.0), batch, IDS)
    pairs = torch.tensor([kind == "two" for kind in batch.kinds]).repeat_interleave(FRAMES)
    assert torch.equal(said.speaks, pairs)
    assert torch.equal(said.listens, pairs)
    torch.testing.assert_close(said.speaking[pairs], torch.full((int(pairs.sum()),), 2.0))
    unheard = output_of(batch, 2.0, 2.0)
    nobody = said_of(replace(unheard, heard=-unheard.heard), batch, IDS)
    assert said.voice.all()
    assert not nobody.voice.any()


def test_the_loss_falls_as_the_speaker_gets_ahead() -> None:
    def loss(speaking: float, listening: float) -> float:
        yes = torch.ones(1, dtype=torch.bool)
        said = Said(
            speaking=torch.tensor([speaking]),
            listening=torch.tensor([listening]),
            speaks=yes,
            listens=yes,
            voice=yes,
        )
        return float(loss_of_speakers(said))

    assert loss(2.0, -2.0) < loss(1.0, -1.0) < loss(0.0, 0.0) < loss(-1.0, 1.0)
    nobody = torch.zeros(3, dtype=torch.bool)
    zeros = torch.zeros(3)
    none = Said(speaking=zeros, listening=zeros, speaks=nobody, listens=nobody, voice=nobody)
    assert float(loss_of_speakers(none)) == 0.0


def test_the_network_takes_a_batch(batch: Batch) -> None:
    torch.set_num_threads(1)
    with torch.no_grad():
        output = Nano(NanoConfig(), IDS.tolist())(batch.seen, batch.sound, batch.shape)
    assert output.logits.shape == (64, FRAMES, 1 + len(IDS), CELLS, CELLS)
    assert bool(output.logits.isfinite().all())
    assert IGNORE not in batch.target.unique().tolist()


def test_the_listener_hears_as_much_of_every_track(bank: banks.Bank) -> None:
    starts = [0, 12, 12 + FRAMES]
    assert listened(bank).tolist() == [start + k for start in starts for k in range(FRAMES)]


def test_counts_are_frames_and_contexts() -> None:
    counts = Counts(still=3, moving=2, pasted=1, pasted_moving=1, talkers=2, dialogues=1, tracks=4)
    spoken = 2 * 16 + 3 * 32
    assert counts.frames == 3 + 1 + FRAMES * 3 + spoken
    assert counts.contexts == FRAMES * 4 + spoken
