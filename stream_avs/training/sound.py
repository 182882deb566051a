"""The same clips with other sound: how one finds out whether a network listens."""

from __future__ import annotations

import enum
from dataclasses import replace

import numpy as np

from stream_avs.audio.vggish_mel import LOG_OFFSET
from stream_avs.datasets.sample import ClipDataset, ClipSample


class Sound(enum.StrEnum):
    """What is heard with each clip."""

    OWN = "own"  # its own sound
    SILENCE = "silence"  # nothing
    OTHER = "other"  # the sound of the next clip


class WithSound:
    """A data set whose clips sound differently; pictures and masks stay.

    Args:
        clips: the data set.
        sound: what to hear.
    """

    def __init__(self, clips: ClipDataset, sound: Sound) -> None:
        self.clips = clips
        self._sound = sound
        self.class_names = clips.class_names
        self.split = clips.split

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> ClipSample:
        """Clip `index` with its changed sound."""
        clip = self.clips[index]
        if self._sound is Sound.OWN:
            return clip
        if self._sound is Sound.OTHER:
            other = self.clips[(index + 1) % len(self.clips)]
            return replace(clip, log_mel=other.log_mel, waveform=other.waveform)
        return replace(
            clip,
            log_mel=None if clip.log_mel is None else np.full_like(clip.log_mel, np.log(LOG_OFFSET)),
            waveform=None if clip.waveform is None else np.zeros_like(clip.waveform),
        )
