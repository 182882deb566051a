"""The consensus preset on real talkers and real sounds, and its rules one by one."""

import csv
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from stream_avs.config import ModelConfig
from stream_avs.models.base import Decision, Stages
from stream_avs.models.consensus.decide import agree, audible, nothing
from stream_avs.models.consensus.model import Consensus, Memory, is_quiet, load
from stream_avs.models.consensus.table import read_table
from stream_avs.models.load import BUNDLED
from stream_avs.types import Frame, Image, Samples, Window

HERE = Path(__file__).parent
TALKERS = BUNDLED.parents[1] / "assets" / "talkers.mp4"
RATE_HZ = 32_000
PERSON, DOG, CAT = 15, 12, 8


@pytest.fixture(scope="module")
def model() -> Consensus:
    return load(ModelConfig(threads=1))


@pytest.fixture(scope="module")
def speech() -> Samples:
    return sound_of(TALKERS)


@pytest.fixture(scope="module")
def bark() -> Samples:
    samples = sound_of(HERE / "data" / "dog_bark.ogg")
    return samples[: int(np.abs(samples).argmax()) + RATE_HZ // 4]


@pytest.fixture(scope="module")
def talker() -> Image:
    return picture_of(TALKERS, at_s=1.5)


def sound_of(path: Path) -> Samples:
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE_HZ)
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.float32)


def picture_of(path: Path, at_s: float) -> Image:
    with av.open(str(path)) as container:
        return next(f.to_ndarray(format="rgb24") for f in container.decode(video=0) if f.time >= at_s)


def step(
    model: Consensus, image: Image, samples: Samples, state: Memory | None = None
) -> tuple[Decision, Memory, Stages]:
    row = np.zeros(round(model.context_s * model.sample_rate_hz), np.float32)
    row[-len(samples) :] = samples[-len(row) :]
    window = Window(
        frames=(Frame(image=image, stamp_ns=0, arrival_ns=0),),
        audio=row[None],
        audio_coverage=np.ones(1, np.float32),
        sample_rate_hz=model.sample_rate_hz,
        distinct=1,
    )
    stages = Stages()
    decision, state = model.step(window, model.initial_state() if state is None else state, stages)
    return decision, state, stages


def test_a_talker_is_masked_while_speech_is_heard(model: Consensus, talker: Image, speech: Samples) -> None:
    decision, state, stages = step(model, talker, speech[: 2 * RATE_HZ])
    person = decision.mask == PERSON
    assert set(np.unique(decision.mask)) == {0, PERSON}
    assert 0.2 < person.mean() < 0.45
    assert person[160:, 120:200].mean() > 0.95  # face and chest
    assert not person[:80, :60].any()
    assert not person[:80, -60:].any()
    assert (decision.confidence[person] >= round(255 * model.threshold) - 1).all()
    assert not decision.confidence[~person].any()
    assert decision.scores.keys() == {PERSON}
    assert 0.8 < decision.scores[PERSON] <= decision.sounding_score <= 1
    assert state.heard == {PERSON}
    assert list(stages.ms) == ["mel", "hear", "resize", "see", "decide"]


def test_silence_gives_nothing_and_costs_nothing(model: Consensus, talker: Image) -> None:
    decision, state, stages = step(model, talker, np.zeros(2 * RATE_HZ, np.float32))
    assert not decision.mask.any()
    assert decision.mask.shape == model.mask_shape
    assert decision.sounding_score == 0
    assert (state, stages.ms) == (model.initial_state(), {})


@pytest.mark.parametrize("level_dbfs", [-60, -40, -20])
def test_noise_is_no_one(model: Consensus, talker: Image, level_dbfs: float) -> None:
    noise = np.random.default_rng(0).standard_normal(2 * RATE_HZ) * 10 ** (level_dbfs / 20)
    assert not step(model, talker, noise.astype(np.float32))[0].mask.any()


def test_a_bark_with_only_a_person_in_the_picture_gives_nothing(
    model: Consensus, talker: Image, bark: Samples
) -> None:
    decision, state, _ = step(model, talker, bark)
    assert state.heard == {DOG}
    assert not decision.mask.any()
    assert not decision.scores


def test_the_mask_ends_soon_after_the_speech(model: Consensus, talker: Image, speech: Samples) -> None:
    """The second talker of the clip, from 3 s to 6 s, is muted."""
    mouth_moves = picture_of(TALKERS, at_s=3.8)
    before, state, _ = step(model, talker, speech[: int(2.9 * RATE_HZ)])
    after, _, _ = step(model, mouth_moves, speech[: int(3.8 * RATE_HZ)], state)
    assert (before.mask == PERSON).any()
    assert not after.mask.any()


def test_audio_at_another_rate_is_refused(model: Consensus, talker: Image) -> None:
    window = Window(
        frames=(Frame(image=talker, stamp_ns=0, arrival_ns=0),),
        audio=np.zeros((1, 32_000), np.float32),
        audio_coverage=np.ones(1, np.float32),
        sample_rate_hz=16_000,
        distinct=1,
    )
    with pytest.raises(ValueError, match="16000 Hz, not 32000 Hz"):
        model.step(window, model.initial_state(), Stages())


def test_settings_reach_the_model(talker: Image, speech: Samples) -> None:
    config = ModelConfig(input_px=160, audio_context_s=1.0, threshold=0.99, threads=1)
    strict = load(config)
    assert (strict.input_px, strict.context_s, strict.mask_shape) == (160, 1.0, (160, 160))
    decision, _, _ = step(strict, talker, speech[: 2 * RATE_HZ])
    assert decision.mask.shape == (160, 160)
    assert not (decision.confidence[decision.mask > 0] < 252).any()
    assert load(ModelConfig(threads=1)).id == strict.id


def test_another_threshold_decides_as_if_loaded_with_it(
    model: Consensus, talker: Image, speech: Samples
) -> None:
    loaded = load(ModelConfig(threshold=0.9, threads=1))
    assert (loaded.threshold, loaded.own_threshold) == (0.9, model.threshold)
    strict = model.with_threshold(0.9)
    assert strict.eye is model.eye
    found, expected = (step(m, talker, speech[: 2 * RATE_HZ])[0] for m in (strict, loaded))
    np.testing.assert_array_equal(found.confidence, expected.confidence)
    usual, _, _ = step(model, talker, speech[: 2 * RATE_HZ])
    assert 0 < (found.mask > 0).sum() < (usual.mask > 0).sum()


def test_the_table_names_the_taggers_labels() -> None:
    with (BUNDLED / "audioset_class_labels_indices.csv").open() as file:
        index = {row["display_name"]: int(row["index"]) for row in csv.DictReader(file)}
    table = read_table()
    for entry in table.entries:
        assert 1 <= entry.id <= 20
        assert 0 < entry.half < 1
        assert entry.audioset == {label: index[label] for label in entry.audioset}
    assert len(table.labels) == len(table.entries) == len(set(table.labels.values()))
    assert table.labels[PERSON] == "person"
    assert table.labels[1] == "airplane"


def test_hearing_is_a_noisy_or_with_even_odds_at_half() -> None:
    table = read_table()
    dog = next(k for k, entry in enumerate(table.entries) if entry.id == DOG)
    labels = table.entries[dog].audioset
    probabilities = np.zeros(527, np.float32)
    assert table.hear(probabilities).max() < 1e-4
    probabilities[labels["Dog"]] = table.entries[dog].half
    assert table.hear(probabilities)[dog] == pytest.approx(0.5, abs=1e-6)
    probabilities[labels["Bark"]] = table.entries[dog].half
    assert table.hear(probabilities)[dog] > 0.65
    probabilities[:] = 1.0
    assert np.isfinite(table.hear(probabilities)).all()


def test_a_class_heard_before_stays_until_it_is_clearly_gone() -> None:
    ids = np.array([DOG, PERSON])
    assert audible(np.array([0.45, 0.5]), ids, frozenset()) == {PERSON}
    assert audible(np.array([0.45, 0.5]), ids, frozenset({DOG})) == {DOG, PERSON}
    assert audible(np.array([0.34, 0.2]), ids, frozenset({DOG, PERSON})) == frozenset()


def test_a_pixel_takes_the_class_on_which_eye_and_ear_agree_best() -> None:
    seen = torch.zeros(21, 2, 4)
    seen[CAT] = torch.tensor([0.6, 0.6, 0.1, 0.0])
    seen[DOG] = torch.tensor([0.4, 0.4, 0.8, 0.2])
    heard_dog = agree(seen, {DOG: 0.9}, 0.55, (2, 4))
    np.testing.assert_array_equal(heard_dog.mask, [[DOG, DOG, DOG, 0]] * 2)
    np.testing.assert_array_equal(heard_dog.confidence[0], np.rint(255 * np.sqrt([0.36, 0.36, 0.72, 0])))
    assert heard_dog.scores == pytest.approx({DOG: (0.6 + 0.6 + 0.72**0.5) / 3})
    assert heard_dog.sounding_score == pytest.approx(0.72**0.5)
    both = agree(seen, {DOG: 0.9, CAT: 0.9}, 0.55, (2, 4))
    np.testing.assert_array_equal(both.mask, [[CAT, CAT, DOG, 0]] * 2)


def test_what_is_heard_but_not_seen_has_no_score() -> None:
    decision = agree(torch.full((21, 2, 2), 0.01), {DOG: 1.0}, 0.55, (4, 4))
    assert decision.mask.shape == (4, 4)
    assert not decision.mask.any()
    assert decision.scores == {}
    assert decision.sounding_score == pytest.approx(0.1)


def test_nothing_has_the_promised_types() -> None:
    decision = nothing((3, 5))
    assert decision.mask.dtype == decision.confidence.dtype == np.uint8
    assert decision.mask.shape == decision.confidence.shape == (3, 5)


def test_quiet_is_absolute_or_against_the_loudest_half_second() -> None:
    loud = np.full(RATE_HZ, 0.1, np.float32)
    assert not is_quiet(loud, RATE_HZ)
    assert is_quiet(np.zeros(RATE_HZ, np.float32), RATE_HZ)
    assert is_quiet(np.full(RATE_HZ, 10 ** (-71 / 20), np.float32), RATE_HZ)
    assert not is_quiet(np.full(RATE_HZ, 10 ** (-69 / 20), np.float32), RATE_HZ)
    for drop_db, quiet in ((44, False), (46, True)):
        faded = loud.copy()
        faded[RATE_HZ // 2 :] *= 10 ** (-drop_db / 20)
        assert is_quiet(faded, RATE_HZ) == quiet
    assert is_quiet(np.zeros(100, np.float32), RATE_HZ)
