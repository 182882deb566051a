"""What the frozen senses make of many composed clips, computed once, as they would live, and kept on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from stream_avs.models.base import Stages
from stream_avs.models.nano.network import Seen
from stream_avs.models.nano.senses import Movements, Sound, loudness, motion, movements
from stream_avs.models.nano.stream import NanoStream, Past, recent
from stream_avs.models.nano.synchrony import CELLS, no_trace, synchrony
from stream_avs.training.nano.assets import Assets
from stream_avs.training.nano.clips import Counts, Drawn, draw_clips
from stream_avs.types import NS_PER_S

_VISUAL: dict[str, tuple[tuple[int, ...], Any]] = {
    "log_seen": ((21, CELLS, CELLS), np.float16),
    "motion": ((2, CELLS, CELLS), np.float16),
    "own": ((CELLS, CELLS), np.float16),
    "gain": ((CELLS, CELLS), np.float16),
    "correlation": ((CELLS, CELLS), np.float16),
    "seconds": ((), np.float32),
    "spread": ((), np.float32),
    "ids": ((CELLS, CELLS), np.uint8),
}
_AUDIO: dict[str, tuple[tuple[int, ...], Any]] = {
    "evidence": ((8, 15), np.float16),
    "levels": ((26,), np.float16),
    "heard": ((21,), np.int8),
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
    folder: Path, assets: Assets, counts: Counts, senses: NanoStream, seed: int, tell: Callable[[str], None]
) -> None:
    """Compose clips, run the senses over them and write the results; a finished bank is kept."""
    if (folder / "index.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    visual, audio = _Rows(folder, _VISUAL, counts.frames), _Rows(folder, _AUDIO, counts.contexts)
    clips: list[Clip] = []
    tracks: list[int] = []
    for k, drawn in enumerate(draw_clips(assets, counts, seed)):
        sounds = None
        if drawn.track is not None:
            tracks.append(audio.used)
            sounds = [senses.listen(context, Stages()) for context in drawn.track.contexts]
            for sound, heard in zip(sounds, drawn.track.heard, strict=True):
                audio.add(evidence=sound.evidence[0], levels=sound.levels[0], heard=heard)
        if drawn.frames is not None:
            tied = len(tracks) - 1 if sounds is not None else -1
            clips.append(Clip(first=visual.used, count=len(drawn.frames), track=tied, kind=drawn.kind))
            _look(visual, drawn, sounds, senses)
        if k % 100 == 0:
            tell(f"{folder.name}: {k} clips, {visual.used} frames, {audio.used} sounds")
    index = {"clips": [asdict(c) for c in clips], "tracks": tracks, "credits": assets.credits()}
    (folder / "index.json").write_text(json.dumps(index))


class _Rows:
    """Arrays on disk that are filled row by row."""

    def __init__(self, folder: Path, fields: dict[str, tuple[tuple[int, ...], Any]], count: int) -> None:
        self.used = 0
        self._arrays = {
            name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, (count, *shape))
            for name, (shape, dtype) in fields.items()
        }

    def add(self, **values: Any) -> None:
        for name, value in values.items():
            self._arrays[name][self.used] = value
        self.used += 1


@torch.inference_mode()
def _look(visual: _Rows, drawn: Drawn, sounds: list[Sound] | None, senses: NanoStream) -> None:
    """See the frames one after the other, as `NanoStream.step` does."""
    assert drawn.frames is not None
    assert drawn.ids is not None
    past: tuple[Past, ...] = ()
    trace = no_trace()
    for k, image in enumerate(drawn.frames):
        logits, grey = senses.look(image, Stages())
        now = Past(round(k * drawn.spacing_s * NS_PER_S), grey)
        past = recent(past, now.stamp_ns)
        trace = senses.follow(trace, past, now, 0.0 if sounds is None else loudness(sounds[k]))
        small = F.interpolate(logits, size=(CELLS, CELLS), mode="bilinear", align_corners=False)
        watched = movements(synchrony(trace))
        if sounds is None:  # nothing was heard meanwhile
            watched = watched._replace(seconds=torch.zeros(1))
        visual.add(
            log_seen=small.log_softmax(1)[0],
            motion=motion(grey, past[0].grey if past else grey)[0],
            **{name: value[0] for name, value in watched._asdict().items()},
            ids=small_mask(drawn.ids[k]),
        )
        past = (*past, now)


def small_mask(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Class ids of the cells, each the one at its centre."""
    return np.asarray(cv2.resize(mask, (CELLS, CELLS), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def seen_of(arrays: dict[str, NDArray[np.generic]]) -> Seen:
    """Rows of a bank as the network takes them, float32."""
    tensors = {n: torch.from_numpy(np.asarray(arrays[n], np.float32)) for n in SEEN}
    return Seen(
        log_seen=tensors.pop("log_seen"), motion=tensors.pop("motion"), movements=Movements(**tensors)
    )


SEEN = ("log_seen", "motion", *Movements._fields)
"""The fields of `seen_of`."""
