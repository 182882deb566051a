"""One clip as every reader and every composed scene hands it over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

SPLITS = ("train", "val", "test")
LOG_MEL_SHAPE = (1, 96, 64)
"""One VGGish example: channel, 10 ms steps, mel bands."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClipSample:
    """T frames with their sound and their masks.

    Attributes:
        name: the clip's name, unique within its split.
        category: name of the sounding class, or "" where the set has none.
        split: train, val or test.
        frames: uint8 [T, H, W, 3], RGB. Padded frames are zero; the published code pads after
            normalisation, so multiply by `frame_valid` once more after normalising.
        masks: uint8 [T, H, W], class ids, 0 = not sounding; 0/1 for S4 and MS3. Zero where
            `mask_valid` is False.
        mask_valid: bool [T], the frames whose mask is known and may be trained on or scored.
        frame_valid: bool [T], False for frames that pad the clip to its length.
        frame_times_s: float64 [T], capture time of each frame, seconds from the first sample.
        log_mel: float32 [T, 1, 96, 64], one VGGish example per frame, or None.
        waveform: float32 [n] in [-1, 1], mono, or None.
        sample_rate_hz: rate of `waveform`; 0 without one.
        tags: what happens in a composed scene (see `scenes.plan.Tag`); empty for recorded sets.

    Raises:
        ValueError: shapes or dtypes do not fit together.
    """

    name: str
    category: str
    split: str
    frames: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    mask_valid: NDArray[np.bool_]
    frame_valid: NDArray[np.bool_]
    frame_times_s: NDArray[np.float64]
    log_mel: NDArray[np.float32] | None = None
    waveform: NDArray[np.float32] | None = None
    sample_rate_hz: int = 0
    tags: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        T, H, W = self.frames.shape[:3]
        _expect("frames", self.frames, (T, H, W, 3), np.uint8)
        _expect("masks", self.masks, (T, H, W), np.uint8)
        _expect("mask_valid", self.mask_valid, (T,), np.bool_)
        _expect("frame_valid", self.frame_valid, (T,), np.bool_)
        _expect("frame_times_s", self.frame_times_s, (T,), np.float64)
        if self.log_mel is not None:
            _expect("log_mel", self.log_mel, (T, *LOG_MEL_SHAPE), np.float32)
        if self.waveform is not None:
            _expect("waveform", self.waveform, (self.waveform.size,), np.float32)
            if self.sample_rate_hz <= 0:
                raise ValueError("a waveform needs its sample_rate_hz")

    def __len__(self) -> int:
        """Number of frames, padding included."""
        return len(self.frames)

    def audio_context(self, context_s: float) -> NDArray[np.float32]:
        """Cut the sound each frame hears: float32 [T, n], row k ends at the time of frame k.

        n = round(context_s * sample_rate_hz). What lies outside the clip is zero, as are the rows
        of padded frames.

        Raises:
            ValueError: the clip was read without its waveform.
        """
        if self.waveform is None:
            raise ValueError(f"clip {self.name!r} was read without its waveform")
        length = round(context_s * self.sample_rate_hz)
        rows = np.zeros((len(self), length), np.float32)
        for k in np.flatnonzero(self.frame_valid):
            end = round(float(self.frame_times_s[k]) * self.sample_rate_hz)
            heard = self.waveform[max(0, end - length) : max(0, end)]
            first = max(0, length - end)
            rows[k, first : first + heard.size] = heard
        return rows


class ClipDataset(Protocol):
    """What training and evaluation ask of a data set; torch's DataLoader takes it as it is."""

    class_names: tuple[str, ...]
    """Name of every class id; index 0 is the background."""
    split: str

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> ClipSample: ...


def _expect(name: str, array: NDArray, shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    if array.shape != shape or array.dtype != dtype:
        found = f"{array.dtype} {list(array.shape)}"
        raise ValueError(f"{name} is {found}, expected {np.dtype(dtype)} {list(shape)}")
