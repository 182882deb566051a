"""What the three AVSBench readers share: from the files of a clip to a `ClipSample`.

The readers differ in where the files lie and how a mask is stored; see `avsbench_s4`,
`avsbench_ms3` and `avsbench_avss`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream_avs.audio.vggish_mel import SAMPLE_RATE_HZ
from stream_avs.datasets.files import read_audio, read_grey, read_rgb
from stream_avs.datasets.log_mel import grid_examples
from stream_avs.datasets.safe_pickle import load_float_array
from stream_avs.datasets.sample import LOG_MEL_SHAPE, SPLITS, ClipSample
from stream_avs.errors import DatasetError, nearest

FRAME_OFFSET_S = 15 / 16
"""Frame k was taken from k + 15/16 s: the last of 16 evenly spaced positions of its second."""


class LogMelFrom(enum.StrEnum):
    """Where the VGGish examples come from."""

    FILE = "file"  # the released log-mel file (S4 and MS3 only)
    WAV = "wav"  # computed from the wav file
    NONE = "none"  # not read


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipFiles:
    """The files of one clip.

    Attributes:
        name: unique within the split.
        category: name of the sounding class or classes; "" where the set has none.
        folder: holds the frames.
        frames: one file per real frame.
        masks: one file per real frame; None where the release has no annotation.
        wav: the sound.
        log_mel: the log-mel file; None where the set has none.
        origin: where the set speaks of the clip, for error messages.
    """

    name: str
    category: str
    folder: Path
    frames: tuple[Path, ...]
    masks: tuple[Path | None, ...]
    wav: Path
    log_mel: Path | None
    origin: str


class AvsBenchReader:
    """Clips of one split, read from disk when asked for. Numpy only.

    Args:
        clips: the files of every clip.
        kind: s4, ms3 or avss.
        split: train, val or test.
        class_names: name of every class id.
        length: frames of a sample; shorter clips are padded with zero frames.
        log_mel: where the VGGish examples come from.
        waveform_hz: rate to read the waveform at; 0 leaves it out.
    """

    def __init__(
        self,
        clips: list[ClipFiles],
        *,
        kind: str,
        split: str,
        class_names: tuple[str, ...],
        length: int,
        log_mel: LogMelFrom,
        waveform_hz: int,
    ) -> None:
        self.clips = clips
        self.kind = kind
        self.split = split
        self.class_names = class_names
        self.length = length
        self._log_mel = log_mel
        self._waveform_hz = waveform_hz

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> ClipSample:
        """Read clip `index`, in the order of the table.

        Raises:
            DatasetError: a file of the clip is missing or wrong; names clip and file.
            IndexError: there is no such clip.
        """
        clip = self.clips[index]
        try:
            return self._read(clip)
        except DatasetError as error:
            raise _of(clip, self.kind, error) from None

    def problems(self, index: int) -> Iterator[DatasetError]:
        """Try every file of clip `index` and yield one error for each that is wrong."""
        clip = self.clips[index]
        try:
            _check_folder(clip)
        except DatasetError as error:
            yield _of(clip, self.kind, error)
            return
        shape: tuple[int, ...] = ()

        def check(path: Path, image: NDArray[np.uint8]) -> None:
            nonlocal shape
            shape = shape or image.shape[:2]
            _check_size(path, image, shape)

        def check_frame(path: Path) -> None:
            check(path, read_rgb(path))

        def check_mask(path: Path) -> None:
            check(path, self.read_mask(path))

        tries: list[Callable[[], object]] = [partial(check_frame, path) for path in clip.frames]
        tries += [partial(check_mask, path) for path in clip.masks if path]
        tries += [partial(self._read_log_mel, clip), partial(read_audio, clip.wav, SAMPLE_RATE_HZ)]
        for attempt in tries:
            try:
                attempt()
            except DatasetError as error:
                yield _of(clip, self.kind, error)

    def read_mask(self, path: Path) -> NDArray[np.uint8]:
        """Read one mask as class ids, uint8 [H, W].

        Raises:
            DatasetError: missing, no picture, or with values that no mask of this set has.
        """
        raise NotImplementedError

    def _read(self, clip: ClipFiles) -> ClipSample:
        _check_folder(clip)
        first = read_rgb(clip.frames[0])
        shape = first.shape[:2]
        frames = np.zeros((self.length, *shape, 3), np.uint8)
        masks = np.zeros((self.length, *shape), np.uint8)
        mask_valid = np.zeros(self.length, np.bool_)
        for k, (path, mask_path) in enumerate(zip(clip.frames, clip.masks, strict=True)):
            frame = first if k == 0 else read_rgb(path)
            _check_size(path, frame, shape)
            frames[k] = frame
            if mask_path is not None:
                mask = self.read_mask(mask_path)
                _check_size(mask_path, mask, shape)
                masks[k] = mask
                mask_valid[k] = True
        return ClipSample(
            name=clip.name,
            category=clip.category,
            split=self.split,
            frames=frames,
            masks=masks,
            mask_valid=mask_valid,
            frame_valid=np.arange(self.length) < len(clip.frames),
            frame_times_s=np.arange(self.length, dtype=np.float64) + FRAME_OFFSET_S,
            log_mel=self._read_log_mel(clip),
            waveform=read_audio(clip.wav, self._waveform_hz) if self._waveform_hz else None,
            sample_rate_hz=self._waveform_hz,
        )

    def _read_log_mel(self, clip: ClipFiles) -> NDArray[np.float32] | None:
        """float32 [length, 1, 96, 64]: a file must fit exactly; from wav, cut or padded with zeros."""
        if self._log_mel is LogMelFrom.NONE:
            return None
        if self._log_mel is LogMelFrom.WAV or clip.log_mel is None:
            found = grid_examples(read_audio(clip.wav, SAMPLE_RATE_HZ))[: self.length]
            padding = [(0, self.length - len(found)), (0, 0), (0, 0), (0, 0)]
            return np.pad(found, padding)
        values = load_float_array(clip.log_mel)
        expected = (self.length, *LOG_MEL_SHAPE)
        if values.shape != expected:
            raise DatasetError(
                f"{clip.log_mel} has shape {list(values.shape)}, expected {list(expected)}", "Get it again"
            )
        return values.astype(np.float32)


def read_binary_mask(path: Path) -> NDArray[np.uint8]:
    """Read a mask of S4 or MS3 as 0 and 1, uint8 [H, W].

    Raises:
        DatasetError: missing, no picture, or with values other than 0 and 255.
    """
    grey = read_grey(path)
    sounding = grey == 255
    if not np.all(sounding | (grey == 0)):
        values = np.unique(grey)
        shown = ", ".join(map(str, values[:5])) + (", ..." if len(values) > 5 else "")
        raise DatasetError(f"{path} has values {shown}", "Expected 0 and 255 alone")
    return sounding.astype(np.uint8)


def check_split(split: str) -> None:
    """Refuse a split that AVSBench does not have.

    Raises:
        DatasetError: naming the nearest one.
    """
    if split not in SPLITS:
        raise DatasetError(f"there is no split {split!r}", nearest(split, SPLITS).capitalize())


def _check_folder(clip: ClipFiles) -> None:
    if not clip.folder.is_dir():
        raise DatasetError(
            f"{clip.origin} names it, but {clip.folder} does not exist",
            "Check that all archives are unpacked",
        )


def _check_size(path: Path, image: NDArray[np.uint8], shape: tuple[int, ...]) -> None:
    if image.shape[:2] != shape:
        (h, w), (frame_h, frame_w) = image.shape[:2], shape
        raise DatasetError(
            f"{path} is {w} x {h}, the clip's frames are {frame_w} x {frame_h}", "Get the file again"
        )


def _of(clip: ClipFiles, kind: str, error: DatasetError) -> DatasetError:
    return DatasetError(f"{kind} clip {clip.name}: {error.what}", error.next_step)
