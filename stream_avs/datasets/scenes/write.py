"""Write composed scenes to disk in the layouts of AVSBench S4, MS3 and AVSS.

The files are what the releases hold, so that readers, training and evaluation run on them as on the
real sets; only the raw videos are left out, which nothing reads.
"""

from __future__ import annotations

import csv
import enum
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stream_avs.config import require
from stream_avs.datasets.avsbench import FRAME_OFFSET_S
from stream_avs.datasets.avsbench_avss import SUBSET_FRAMES
from stream_avs.datasets.files import write_image, write_wav
from stream_avs.datasets.palette import AVSS_CLASSES, encode
from stream_avs.datasets.sample import ClipSample
from stream_avs.datasets.scenes.config import LogMelTiming, SceneConfig
from stream_avs.datasets.scenes.dataset import SceneDataset
from stream_avs.datasets.scenes.source import SceneSource
from stream_avs.errors import ConfigError

SPLIT_SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}
Progress = Callable[[ClipSample], None]


class Layout(enum.StrEnum):
    """Which of the AVSBench sets to imitate."""

    S4 = "s4"
    MS3 = "ms3"
    AVSS = "avss"


def layout_config(layout: Layout, base: SceneConfig | None = None, *, frames: int = 5) -> SceneConfig:
    """Return `base` with the timing of AVSBench: a frame per second, examples on VGGish's grid.

    S4 clips have one visible source that sounds throughout; the others keep the events of `base`.
    """
    timed = replace(
        base or SceneConfig(),
        frames=frames,
        frame_spacing_s=1.0,
        audio_context_s=FRAME_OFFSET_S,
        tail_s=1 - FRAME_OFFSET_S,
        sample_rate_hz=16_000,
        log_mel=LogMelTiming.GRID,
    )
    if layout is not Layout.S4:
        return timed
    return replace(
        timed,
        p_silence=0.0,
        p_noise_only=0.0,
        p_off_screen=0.0,
        p_off_screen_mix=0.0,
        p_several=0.0,
        p_switch=0.0,
    )


def split_counts(clips: int) -> dict[str, int]:
    """Share clips out to train, val and test, 70 : 15 : 15, at least one each.

    Raises:
        ConfigError: fewer than 3 clips.
    """
    require(clips >= 3, "clips", clips, "at least 3, one for each split")
    val = max(1, round(clips * SPLIT_SHARES["val"]))
    test = max(1, round(clips * SPLIT_SHARES["test"]))
    return {"train": clips - val - test, "val": val, "test": test}


def write_scenes(
    out: Path,
    layout: Layout,
    sources: dict[str, SceneSource],
    *,
    clips: int,
    seed: int = 0,
    config: SceneConfig | None = None,
    progress: Progress | None = None,
) -> Path:
    """Compose clips and write them.

    Args:
        out: folder to write to; made if missing, refused if anything is in it.
        layout: which set to imitate.
        sources: pictures and sounds for train, val and test.
        clips: number of clips over all splits.
        seed: same seed, same clips.
        config: look and events; timing is that of the layout.
        progress: called after each clip.

    Returns:
        The folder to give to the reader.

    Raises:
        ConfigError: `out` is not empty, too few clips, or more classes than the palette has.
    """
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty", "Name a new folder")
    names = sources["train"].class_names
    require(
        len(names) <= AVSS_CLASSES, "scenes classes", len(names), f"at most {AVSS_CLASSES} with background"
    )
    out.mkdir(parents=True, exist_ok=True)
    writer = _WRITERS[layout](out)
    for split, count in split_counts(clips).items():
        for index in range(count):
            frames = list(SUBSET_FRAMES.values())[index % 3] if layout is Layout.AVSS else 5
            timed = layout_config(layout, config, frames=frames)
            sample = SceneDataset(sources[split], timed, seed=seed, split=split)[index]
            writer.write(sample, index)
            if progress:
                progress(sample)
    writer.close(names)
    return out


class _Writer(Protocol):
    """Writes one clip at a time, then the tables."""

    def write(self, sample: ClipSample, index: int) -> None: ...

    def close(self, names: tuple[str, ...]) -> None: ...


class _S4Writer:
    def __init__(self, out: Path) -> None:
        self.out = out
        self.rows: list[tuple[object, ...]] = []

    def write(self, sample: ClipSample, index: int) -> None:
        category = sample.category.replace(" ", "_")
        inside = Path(sample.split) / category
        data, name = self.out / "s4_data", sample.name
        for k, (frame, mask) in enumerate(zip(sample.frames, sample.masks, strict=True), start=1):
            write_image(data / "visual_frames" / inside / name / f"{name}_{k}.png", frame)
            if k == 1 or sample.split != "train":
                write_image(data / "gt_masks" / inside / name / f"{name}_{k}.png", _binary(mask))
        _write_sound(sample, data, inside)
        self.rows.append((name, 0, category, sample.split))

    def close(self, names: tuple[str, ...]) -> None:
        _write_table(self.out / "s4_meta_data.csv", ("name", "start", "category", "split"), self.rows)


class _Ms3Writer:
    def __init__(self, out: Path) -> None:
        self.out = out
        self.rows: list[tuple[object, ...]] = []

    def write(self, sample: ClipSample, index: int) -> None:
        data, name = self.out / "ms3_data", sample.name
        for k, (frame, mask) in enumerate(zip(sample.frames, sample.masks, strict=True), start=1):
            write_image(data / "visual_frames" / name / f"{name}.mp4_{k}.png", frame)
            write_image(data / "gt_masks" / sample.split / name / f"{name}_{k}.png", _binary(mask))
        _write_sound(sample, data, Path(sample.split))
        self.rows.append((name, sample.split))

    def close(self, names: tuple[str, ...]) -> None:
        _write_table(self.out / "ms3_meta_data.csv", ("video_id", "split"), self.rows)


class _AvssWriter:
    def __init__(self, out: Path) -> None:
        self.out = out
        self.rows: list[tuple[object, ...]] = []

    def write(self, sample: ClipSample, index: int) -> None:
        label = list(SUBSET_FRAMES)[index % 3]
        folder = self.out / label / sample.name
        for k, (frame, mask) in enumerate(zip(sample.frames, sample.masks, strict=True)):
            write_image(folder / "frames" / f"{k}.jpg", frame)
            if k == 0 or not (sample.split == "train" and label == "v1s"):
                write_image(folder / "labels_rgb" / f"{k}.png", encode(mask))
                write_image(folder / "labels_semantic" / f"{k}.png", mask)
        assert sample.waveform is not None
        write_wav(folder / "audio.wav", sample.waveform, sample.sample_rate_hz)
        self.rows.append((sample.name, sample.name, sample.category, sample.split, label))

    def close(self, names: tuple[str, ...]) -> None:
        _write_table(self.out / "metadata.csv", ("vid", "uid", "a_obj", "split", "label"), self.rows)
        table = {name: index for index, name in enumerate(names)}
        (self.out / "label2idx.json").write_text(json.dumps(table, indent=1), encoding="utf-8")


_WRITERS: dict[Layout, Callable[[Path], _Writer]] = {
    Layout.S4: _S4Writer,
    Layout.MS3: _Ms3Writer,
    Layout.AVSS: _AvssWriter,
}


def _binary(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.where(mask > 0, 255, 0).astype(np.uint8)


def _write_sound(sample: ClipSample, data: Path, inside: Path) -> None:
    """Write the wav file, and the log-mel as the releases do: a pickled tensor that wants gradients."""
    import torch

    assert sample.waveform is not None
    assert sample.log_mel is not None
    write_wav(data / "audio_wav" / inside / f"{sample.name}.wav", sample.waveform, sample.sample_rate_hz)
    path = data / "audio_log_mel" / inside / f"{sample.name}.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        pickle.dump(torch.from_numpy(sample.log_mel).requires_grad_(True), file)


def _write_table(path: Path, header: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
