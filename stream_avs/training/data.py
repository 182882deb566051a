"""The clips of a run: open a split, augment, and load batches in the run's order."""

from __future__ import annotations

import functools
import signal
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader

from stream_avs.audio.front_end import VGGISH, AudioInput
from stream_avs.datasets.augment import AugmentConfig, augment
from stream_avs.datasets.avsbench import LogMelFrom
from stream_avs.datasets.avsbench_avss import AvssDataset
from stream_avs.datasets.avsbench_ms3 import Ms3Dataset
from stream_avs.datasets.avsbench_s4 import S4Dataset
from stream_avs.datasets.sample import ClipDataset, ClipSample
from stream_avs.datasets.scenes import LogMelTiming, ProceduralSource, SceneConfig, SceneDataset
from stream_avs.datasets.scenes.assets import AssetLibrary
from stream_avs.datasets.scenes.source import SceneSource
from stream_avs.errors import ConfigError, DatasetError
from stream_avs.models.network_config import NetworkConfig
from stream_avs.training.batch import Batch, Collate
from stream_avs.training.config import DataConfig, DatasetKind
from stream_avs.training.order import Share
from stream_avs.training.sound import Sound, WithSound

BINARY_LABELS = ("background", "sounding")


def open_split(
    config: DataConfig, split: str, network: NetworkConfig, audio: AudioInput, frames: int
) -> ClipDataset:
    """Open one split with the sound that the network hears.

    Args:
        config: which data set.
        split: train, val or test.
        network: its input size and classes.
        audio: what the network hears.
        frames: of a composed clip; recorded ones have their own length.

    Raises:
        DatasetError: the folder or its table is wrong, or the split is empty.
        ConfigError: a setting of the scenes is out of range.
    """
    clips: ClipDataset
    if config.kind is DatasetKind.SCENES:
        clips = _scenes(config, split, network, audio, frames)
    else:
        root, log_mel, waveform_hz = Path(config.root), VGGISH in audio.front_ends, _waveform_hz(audio)
        if config.kind is DatasetKind.AVSS:
            source = LogMelFrom.WAV if log_mel else LogMelFrom.NONE
            clips = AvssDataset(root, split, log_mel=source, waveform_hz=waveform_hz)
        else:
            source = LogMelFrom.FILE if log_mel else LogMelFrom.NONE
            reader = S4Dataset if config.kind is DatasetKind.S4 else Ms3Dataset
            clips = reader(root, split, log_mel=source, waveform_hz=waveform_hz)
    if not len(clips):
        raise DatasetError(
            f"{config.kind} in {config.root} has no clip in split {split!r}", "Check its table"
        )
    if config.limit:
        clips = FirstClips(clips, config.limit)
    return clips if config.sound is Sound.OWN else WithSound(clips, config.sound)


def check_classes(network: NetworkConfig, clips: ClipDataset) -> None:
    """Refuse a network of neither one class nor those of the data set.

    Raises:
        ConfigError: naming both numbers.
    """
    if network.classes not in (1, len(clips.class_names)):
        raise ConfigError(
            f"the network has {network.classes} classes, the data set {len(clips.class_names)}",
            f"Train one with --model.classes {len(clips.class_names)}, or 1 for sounding / not sounding",
        )


def count_taught(network: NetworkConfig, clips: ClipDataset) -> int:
    """How many classes the data set can teach classifiers inside the network: all of its own, or none.

    Raises:
        ConfigError: the network wants to learn other classes than the data set has.
    """
    names, wanted = clips.class_names[1:], network.taught_labels
    if not wanted or len(names) == 1:  # one class is sounding or not, which tells nothing about what
        return 0
    if wanted != names:
        raise ConfigError(
            f"the network learns to tell {', '.join(wanted)}; the data set has {', '.join(names)}",
            "Set --model.labels to the data set's classes, in this order",
        )
    return len(names)


def labels_of(clips: ClipDataset, network: NetworkConfig) -> tuple[str, ...]:
    """Name of every class id the network can predict."""
    return BINARY_LABELS if network.classes == 1 else clips.class_names


def check_frames(clip: ClipSample, network: NetworkConfig, frames: int) -> None:
    """Refuse clips of another length than training unrolls.

    Raises:
        ConfigError: naming both lengths.
    """
    if network.windowed and len(clip) != frames:
        raise ConfigError(
            f"clips have {len(clip)} frames, training unrolls {frames}", f"Set --model.frames {len(clip)}"
        )


class FirstClips:
    """The first clips of a data set.

    Args:
        clips: all of them.
        count: how many to keep.
    """

    def __init__(self, clips: ClipDataset, count: int) -> None:
        self.clips = clips
        self.class_names = clips.class_names
        self.split = clips.split
        self._count = min(count, len(clips))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> ClipSample:
        """Clip `index`; an endless set gives new clips beyond its length."""
        return self.clips[index]


def composes(clips: ClipDataset) -> bool:
    """Whether the clips are composed, so that there are new ones beyond the data set's length."""
    while isinstance(clips, FirstClips | WithSound):
        clips = clips.clips
    return isinstance(clips, SceneDataset)


class TrainingClips:
    """Clips as one run sees them: clip k of epoch e is the same whenever and wherever it is asked for.

    Args:
        clips: the training split.
        change: draws flip, colours, crop and size anew for each epoch; None leaves clips as they are.
        seed: of the run.
    """

    def __init__(self, clips: ClipDataset, change: AugmentConfig | None, seed: int) -> None:
        self._clips = clips
        self._change = change
        self._seed = seed
        self._endless = composes(clips)

    def __getitem__(self, place: tuple[int, int]) -> ClipSample:
        """Clip `place` = (epoch, index); sets that compose their clips give new ones in each epoch."""
        epoch, index = place
        clip = self._clips[epoch * len(self._clips) + index if self._endless else index]
        if self._change is None:
            return clip
        return augment(clip, self._change, np.random.default_rng((self._seed, epoch, index)))


def training_batches(
    clips: TrainingClips, collate: Collate, shares: Iterator[Share], *, workers: int, pin: bool
) -> Generator[Batch, None, None]:
    """Load the micro-batches of `shares`, one after the other.

    The loader draws from a generator of its own: the global ones stay untouched, so that a resumed
    run finds them as they were.
    """
    prepare_for_workers(workers)
    loader: DataLoader[Batch] = DataLoader(
        clips,  # type: ignore[arg-type]
        batch_sampler=_Places(shares),  # type: ignore[arg-type]
        collate_fn=collate,
        num_workers=workers,
        pin_memory=pin,
        worker_init_fn=quiet_worker,
        generator=torch.Generator().manual_seed(0),
    )
    yield from loader


def scoring_batches(
    clips: ClipDataset, collate: Collate, batches: Sequence[Sequence[int]], *, workers: int, pin: bool
) -> Generator[Batch, None, None]:
    """Load `batches` of clip indices, one after the other."""
    prepare_for_workers(workers)
    loader: DataLoader[Batch] = DataLoader(
        clips,  # type: ignore[arg-type]
        batch_sampler=batches,  # type: ignore[arg-type]
        collate_fn=collate,
        num_workers=min(workers, len(batches)),
        pin_memory=pin,
        worker_init_fn=quiet_worker,
        generator=torch.Generator().manual_seed(0),
    )
    yield from loader


def prepare_for_workers(workers: int) -> None:
    """Give OpenCV one thread in this process, and so in the loading processes that are forked from it.

    A forked process inherits OpenCV's pool without its threads, and waits for them for ever as soon as
    it uses the pool or changes its size.
    """
    if workers:
        cv2.setNumThreads(1)


def quiet_worker(_: int) -> None:
    """Set up a loading process: Ctrl-C is the main process's affair."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Places:
    """The (epoch, index) pairs of each micro-batch."""

    def __init__(self, shares: Iterator[Share]) -> None:
        self._shares = shares

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for share in self._shares:
            for clips in share.micro_batches:
                yield [(share.epoch, index) for index in clips]


def _scenes(
    config: DataConfig, split: str, network: NetworkConfig, audio: AudioInput, frames: int
) -> SceneDataset:
    scenes = config.scenes
    scene = replace(with_sound_for(audio, scenes.scene), frames=frames, size_px=network.input_px)
    if config.root:
        source: SceneSource = _library(Path(config.root), scenes.classes).source(split)
    else:
        source = ProceduralSource(shapes=scenes.shapes, colours=scenes.colours)
    lengths = {"train": scenes.train_clips, "val": scenes.val_clips, "test": scenes.test_clips}
    return SceneDataset(source, scene, seed=scenes.seed, split=split, length=lengths[split])


def with_sound_for(audio: AudioInput, scene: SceneConfig) -> SceneConfig:
    """The same scenes with the sound that a network hears."""
    return replace(
        scene,
        log_mel=scene.log_mel if VGGISH in audio.front_ends else LogMelTiming.NONE,
        sample_rate_hz=_waveform_hz(audio) or scene.sample_rate_hz,
    )


def _waveform_hz(audio: AudioInput) -> int:
    """Rate of the waveform that log-mels are made of here; 0 where all come with the clips."""
    return max((f.sample_rate_hz for f in audio.front_ends if f != VGGISH), default=0)


@functools.lru_cache(maxsize=1)
def _library(root: Path, classes: tuple[str, ...]) -> AssetLibrary:
    """The library of a folder, looked through once for all splits."""
    return AssetLibrary(root, classes=classes or None)
