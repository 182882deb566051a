"""From clips to tensors: sizes, labels, padding, and the sound each encoder hears."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from stream_avs.audio.front_end import MN04, VGGISH, AudioInput
from stream_avs.audio.mn_mel import SILENCE
from stream_avs.audio.mn_mel import log_mel as mn_log_mel
from stream_avs.datasets.sample import ClipSample
from stream_avs.datasets.scenes import LogMelTiming, ProceduralSource, SceneConfig, SceneDataset
from stream_avs.errors import ConfigError, DatasetError
from stream_avs.models.ccformer.config import preset
from stream_avs.models.preprocess import IMAGENET_MEAN
from stream_avs.training.batch import Collate, hears
from stream_avs.training.config import DataConfig, ScenesConfig
from stream_avs.training.data import (
    FirstClips,
    TrainingClips,
    check_classes,
    check_frames,
    composes,
    open_split,
)
from stream_avs.training.sound import Sound, WithSound

HEARS_VGGISH, HEARS_MN04 = AudioInput((VGGISH,)), AudioInput((MN04,))
HEARS_BOTH = AudioInput((VGGISH, MN04))


def scenes(**settings: object) -> SceneDataset:
    return SceneDataset(ProceduralSource(), SceneConfig(frames=3, size_px=48, **settings), length=4)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def clip() -> ClipSample:
    return scenes(p_silence=0.0, p_off_screen=0.0, p_noise_only=0.0, p_switch=0.0)[0]


def test_clips_become_one_batch_at_network_size(clip: ClipSample) -> None:
    batch = Collate(size_px=32, audio=HEARS_VGGISH, binary=False)([clip, clip])
    assert (batch.frames.shape, batch.frames.dtype) == ((2, 3, 3, 32, 32), torch.uint8)
    assert batch.audio.shape == (2, 3, 1, 96, 64)
    assert set(batch.masks.unique().tolist()) == set(np.unique(clip.masks).tolist()) != {0, 1}
    binary = Collate(size_px=32, audio=HEARS_VGGISH, binary=True)([clip])
    assert torch.equal(binary.masks[0] > 0, batch.masks[0] > 0)
    assert set(binary.masks.unique().tolist()) == {0, 1}
    assert batch.names == (clip.name, clip.name)


def test_padded_frames_are_zero_once_normalised(clip: ClipSample) -> None:
    padded = replace(clip, frame_valid=np.array([True, True, False]))
    pictures = Collate(size_px=48, audio=HEARS_VGGISH, binary=True)([padded]).pictures()
    assert torch.equal(pictures[0, 2, :, 5, 7], torch.tensor(IMAGENET_MEAN))
    assert torch.equal(pictures[0, 1], torch.from_numpy(clip.frames[1]).permute(2, 0, 1) / 255)


def test_mn04_hears_the_two_seconds_before_each_frame() -> None:
    clip = scenes(sample_rate_hz=32_000, log_mel=LogMelTiming.NONE, audio_context_s=2.5)[0]
    heard = hears(clip, HEARS_MN04)
    assert heard.shape == (3, 1, 128, 200)
    assert clip.waveform is not None
    end = round(clip.frame_times_s[1] * 32_000)
    assert np.array_equal(heard[1, 0], mn_log_mel(clip.waveform[end - 64_000 : end]))


def test_two_front_ends_hear_the_same_clip_side_by_side() -> None:
    clip = scenes(sample_rate_hz=32_000, audio_context_s=2.5)[0]
    heard = hears(clip, HEARS_BOTH)
    assert heard.shape == (3, *HEARS_BOTH.shape) == (3, 96 * 64 + 128 * 200)
    assert clip.log_mel is not None
    assert np.array_equal(heard[:, : 96 * 64].reshape(3, 1, 96, 64), clip.log_mel)
    assert np.array_equal(heard[:, 96 * 64 :].reshape(3, 1, 128, 200), hears(clip, HEARS_MN04))
    live = HEARS_BOTH(clip.audio_context(HEARS_BOTH.context_s)[1])  # as a stream makes it, frame by frame
    np.testing.assert_allclose(live, heard[1], atol=1e-6)
    network = preset("nano", input_px=64)
    opened = open_split(DataConfig(), "val", network, HEARS_BOTH, 3)[0]
    assert opened.sample_rate_hz == 32_000
    assert hears(opened, HEARS_BOTH).shape == heard.shape


def test_sound_of_the_wrong_kind_is_refused(clip: ClipSample) -> None:
    with pytest.raises(DatasetError, match="sound at 16000 Hz"):
        hears(clip, HEARS_MN04)
    with pytest.raises(DatasetError, match="no log-mel"):
        hears(replace(clip, log_mel=None), HEARS_VGGISH)


@pytest.mark.parametrize("kind", [HEARS_VGGISH, HEARS_MN04], ids=["vggish", "mn04"])
def test_silence_and_other_sound_leave_the_picture(kind: AudioInput) -> None:
    mn = kind == HEARS_MN04
    own = scenes(**({"sample_rate_hz": 32_000, "log_mel": LogMelTiming.NONE} if mn else {}))
    silent, other = WithSound(own, Sound.SILENCE)[1], WithSound(own, Sound.OTHER)[3]
    assert np.array_equal(silent.frames, own[1].frames)
    assert np.array_equal(silent.masks, own[1].masks)
    level = SILENCE if mn else np.log(0.01)
    assert np.allclose(hears(silent, kind), level, atol=1e-6)
    assert np.array_equal(hears(other, kind), hears(own[0], kind))
    assert np.array_equal(other.frames, own[3].frames)


def test_composed_clips_are_new_in_each_epoch_and_recorded_ones_are_not() -> None:
    own = scenes()
    few = FirstClips(own, 2)
    assert composes(WithSound(few, Sound.SILENCE))
    clips = TrainingClips(few, None, seed=0)
    assert [clips[0, 1].name, clips[1, 0].name, clips[1, 1].name] == [own[k].name for k in (1, 2, 3)]

    class Recorded:
        class_names, split = own.class_names, "train"

        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> ClipSample:
            return own[(0, 1)[index]]

    again = TrainingClips(Recorded(), None, seed=0)
    assert again[0, 1].name == again[5, 1].name == own[1].name


def test_split_is_made_for_the_network_and_mistakes_are_named() -> None:
    network = preset("nano", input_px=64)
    clips = open_split(DataConfig(limit=2), "val", network, HEARS_MN04, 6)
    assert len(clips) == 2
    assert clips[0].frames.shape == (6, 64, 64, 3)
    assert (clips[0].sample_rate_hz, clips[0].log_mel) == (32_000, None)
    with pytest.raises(ConfigError, match="network has 5 classes, the data set 7"):
        check_classes(preset("tiny", classes=5), clips)
    with pytest.raises(ConfigError, match="clips have 6 frames, training unrolls 5"):
        check_frames(clips[0], network, 5)
    with pytest.raises(ConfigError, match="shapes"):
        open_split(DataConfig(scenes=ScenesConfig(shapes=9)), "val", network, HEARS_MN04, 5)
