"""The clips of a bank, drawn by lot: pictures without sound, sounds without pictures, people with their own.

Pictures and sounds meet in training, every picture with every sound. Only people keep their voice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_avs.training.nano import dialogues, pictures
from stream_avs.training.nano.assets import Assets
from stream_avs.training.nano.exam import SPACING_S
from stream_avs.training.nano.sounds import Track, draw_track
from stream_avs.training.nano.talkers import draw_talkers

FRAMES = 5
"""Of every piece that training looks at, and of pictures and sounds."""
TALKER_FRAMES = 16
SPACINGS_S = (0.08, 0.12, 0.16, 0.2)
TALKER_SPACINGS_S = (0.08, 0.12, 0.12, 0.16)


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many clips of each kind a bank holds; `dialogues` for each thing that the silent one does."""

    still: int
    moving: int
    pasted: int
    pasted_moving: int
    talkers: int
    dialogues: int
    tracks: int

    @property
    def frames(self) -> int:
        short = self.moving + self.pasted_moving
        return self.still + self.pasted + FRAMES * short + self._spoken

    @property
    def contexts(self) -> int:
        return FRAMES * self.tracks + self._spoken

    @property
    def _spoken(self) -> int:
        said = len(dialogues.KINDS) * self.dialogues
        return TALKER_FRAMES * self.talkers + dialogues.FRAMES * said


COUNTS = {
    "train": Counts(
        still=700, moving=90, pasted=250, pasted_moving=60, talkers=360, dialogues=80, tracks=1600
    ),
    "val": Counts(still=90, moving=12, pasted=40, pasted_moving=8, talkers=60, dialogues=12, tracks=160),
}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Drawn:
    """A clip before anybody has seen or heard it.

    Attributes:
        kind: for statistics.
        spacing_s: between frames.
        frames: uint8 [T, H, W, 3], or None for a sound alone.
        ids: uint8 [T, h, w], VOC classes of what is seen, 255 unknown; of people with their own
            sound, of what sounds.
        track: the sound of the clip, or None where any will do.
    """

    kind: str
    spacing_s: float
    frames: NDArray[np.uint8] | None
    ids: NDArray[np.uint8] | None
    track: Track | None


def draw_clips(assets: Assets, counts: Counts, seed: int) -> Iterator[Drawn]:
    """Draw every clip of a bank, the same ones for the same seed."""
    for number, kind in enumerate(("still", "moving", "pasted", "pasted_moving", "talkers", "tracks")):
        for k in range(getattr(counts, kind)):
            yield _draw(assets, kind, np.random.default_rng((seed, number, k)))
    for kind in dialogues.KINDS:
        for stream in dialogues.draw_dialogues(assets, kind, counts.dialogues, seed):
            unknown = np.full((len(stream.images), 21), -1, np.int8)
            yield Drawn(
                kind=kind,
                spacing_s=SPACING_S,
                frames=np.stack(stream.images),
                ids=stream.target,
                track=Track(contexts=stream.contexts, heard=unknown),
            )


def _draw(assets: Assets, kind: str, rng: np.random.Generator) -> Drawn:
    if kind == "talkers":
        spacing_s = float(rng.choice(TALKER_SPACINGS_S))
        scene = draw_talkers(assets, TALKER_FRAMES, spacing_s, rng)
        return Drawn(
            kind=scene.kind, spacing_s=spacing_s, frames=scene.frames, ids=scene.target, track=scene.track
        )
    spacing_s = float(rng.choice(SPACINGS_S))
    if kind == "tracks":
        track = draw_track(assets, FRAMES, spacing_s, rng)
        return Drawn(kind=kind, spacing_s=spacing_s, frames=None, ids=None, track=track)
    if kind == "still":
        view = pictures.still(assets, rng)
    elif kind == "moving":
        view = pictures.moving(assets, FRAMES, rng)
    else:
        view = pictures.pasted(assets, FRAMES if kind == "pasted_moving" else 1, rng)
    return Drawn(kind=kind, spacing_s=spacing_s, frames=view.frames, ids=view.ids, track=None)
