"""What the frozen senses make of many composed clips, computed once and kept on disk.

Pictures and sounds are stored apart and meet in training: every picture with every sound. Only
talkers keep their own voice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from stream_avs.audio import mn_mel
from stream_avs.models.nano.senses import Ear, Eye, luminance, motion
from stream_avs.models.preprocess import normalise, resize
from stream_avs.training.nano import pictures
from stream_avs.training.nano.assets import Assets
from stream_avs.training.nano.sounds import Track, draw_track
from stream_avs.training.nano.talkers import draw_talkers

SIDE_PX = 320
MASK_PX = 80
FRAMES = 5
SPACINGS_S = (0.08, 0.12, 0.16, 0.2)
_BATCH = 5
_VISUAL = {
    "log_seen": ((21, MASK_PX, MASK_PX), np.float16),
    "motion": ((2, 40, 40), np.float16),
    "ids": ((MASK_PX, MASK_PX), np.uint8),
    "target": ((MASK_PX, MASK_PX), np.uint8),
}
_AUDIO = {
    "evidence": ((8, 15), np.float16),
    "levels": ((26,), np.float16),
    "heard": ((21,), np.int8),
}


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many clips of each kind a bank holds."""

    still: int
    moving: int
    pasted: int
    pasted_moving: int
    talkers: int
    tracks: int

    @property
    def frames(self) -> int:
        return self.still + self.pasted + FRAMES * (self.moving + self.pasted_moving + self.talkers)

    @property
    def contexts(self) -> int:
        return FRAMES * (self.tracks + self.talkers)


COUNTS = {
    "train": Counts(still=700, moving=90, pasted=250, pasted_moving=60, talkers=260, tracks=1600),
    "val": Counts(still=90, moving=12, pasted=40, pasted_moving=8, talkers=60, tracks=160),
}


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Where the frames of one clip are in the bank; `track` is -1 where any sound will do."""

    first: int
    count: int
    track: int
    kind: str


class Bank:
    """A bank on disk, read as memory maps.

    Args:
        folder: as `build` wrote it.
    """

    def __init__(self, folder: Path) -> None:
        index = json.loads((folder / "index.json").read_text())
        self.clips = [Clip(**c) for c in index["clips"]]
        self.tracks = [int(t) for t in index["tracks"]]
        self.arrays = {n: np.load(folder / f"{n}.npy", mmap_mode="r") for n in (*_VISUAL, *_AUDIO)}


def build(
    folder: Path, assets: Assets, counts: Counts, eye: Eye, ear: Ear, seed: int, tell: Callable[[str], None]
) -> None:
    """Compose clips, run the senses over them and write the results; a finished bank is kept."""
    if (folder / "index.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    visual = _open(folder, _VISUAL, counts.frames)
    audio = _open(folder, _AUDIO, counts.contexts)
    clips: list[Clip] = []
    tracks: list[int] = []
    frame = context = 0
    for k, (kind, frames, ids, target, track) in enumerate(_draw(assets, counts, seed)):
        if track is not None:
            tracks.append(context)
            context += _write_track(audio, context, track, ear)
        if frames is not None:
            tied = len(tracks) - 1 if track is not None else -1
            clips.append(Clip(first=frame, count=len(frames), track=tied, kind=kind))
            frame += _write_view(visual, frame, frames, ids, target, eye)
        if k % 100 == 0:
            tell(f"{folder.name}: {k} clips, {frame} frames, {context} sounds")
    index = {"clips": [asdict(c) for c in clips], "tracks": tracks, "credits": assets.credits()}
    (folder / "index.json").write_text(json.dumps(index))


_Drawn = tuple[
    str, NDArray[np.uint8] | None, NDArray[np.uint8] | None, NDArray[np.uint8] | None, Track | None
]


def _draw(assets: Assets, counts: Counts, seed: int) -> Iterator[_Drawn]:
    kinds = ["still", "moving", "pasted", "pasted_moving", "talkers", "tracks"]
    for number, kind in enumerate(kinds):
        for k in range(getattr(counts, kind)):
            rng = np.random.default_rng((seed, number, k))
            spacing_s = float(rng.choice(SPACINGS_S))
            if kind == "tracks":
                yield kind, None, None, None, draw_track(assets, FRAMES, spacing_s, rng)
            elif kind == "talkers":
                scene = draw_talkers(assets, FRAMES, spacing_s, rng)
                yield scene.kind, scene.frames, scene.ids, scene.target, scene.track
            else:
                if kind == "still":
                    view = pictures.still(assets, rng)
                elif kind == "moving":
                    view = pictures.moving(assets, FRAMES, rng)
                else:
                    view = pictures.pasted(assets, FRAMES if kind == "pasted_moving" else 1, rng)
                yield kind, view.frames, view.ids, view.ids, None


def _open(folder: Path, fields: dict, count: int) -> dict[str, NDArray]:
    return {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, (count, *shape))
        for name, (shape, dtype) in fields.items()
    }


@torch.inference_mode()
def _write_track(audio: dict[str, NDArray], at: int, track: Track, ear: Ear) -> int:
    mels = np.stack([mn_mel.log_mel(c) for c in track.contexts])
    sound = ear(torch.from_numpy(mels)[:, None])
    count = len(mels)
    for name in ("evidence", "levels"):
        audio[name][at : at + count] = getattr(sound, name).numpy()
    audio["heard"][at : at + count] = track.heard
    return count


@torch.inference_mode()
def _write_view(
    visual: dict[str, NDArray],
    at: int,
    frames: NDArray[np.uint8],
    ids: NDArray[np.uint8] | None,
    target: NDArray[np.uint8] | None,
    eye: Eye,
) -> int:
    assert ids is not None
    assert target is not None
    pixels = torch.cat([resize(f, SIDE_PX, SIDE_PX) for f in frames])
    grey = luminance(pixels)
    moved = motion(grey, torch.cat([grey[:1], grey[:-1]]))
    with torch.autocast("cpu", torch.bfloat16):
        small = eye(normalise(pixels).to(memory_format=torch.channels_last))
    logits = F.interpolate(small.float(), size=(MASK_PX, MASK_PX), mode="bilinear", align_corners=True)
    count = len(frames)
    here = slice(at, at + count)
    visual["log_seen"][here] = logits.log_softmax(1).numpy()
    visual["motion"][here] = moved.numpy()
    for name, masks in (("ids", ids), ("target", target)):
        visual[name][here] = np.stack([small_mask(m) for m in masks])
    return count


def small_mask(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Class ids at `MASK_PX`, each the one at the centre of the cell."""
    return np.asarray(cv2.resize(mask, (MASK_PX, MASK_PX), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
