"""Images and sounds on disk. Everything read is RGB and mono float32; every error names the file."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import soxr
from numpy.typing import NDArray

from stream_avs.errors import DatasetError
from stream_avs.picture_input import PictureError, decode_picture

_INT16 = 32768.0


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read a picture, uint8 [H, W, 3], RGB, as stored (no rotation by camera tags).

    Raises:
        DatasetError: the file is missing or no picture.
    """
    return np.asarray(_read(path), np.uint8)


def read_grey(path: Path) -> NDArray[np.uint8]:
    """Read a single-channel picture, uint8 [H, W]; see `read_rgb` for the errors."""
    return np.asarray(_read(path, grey=True), np.uint8)


def read_index(path: Path) -> NDArray[np.uint8]:
    """Read a picture of class ids unchanged: uint8 [H, W].

    A PNG that stores its ids with a colour table comes out as its colours, uint8 [H, W, 3], RGB.

    Raises:
        DatasetError: missing, no picture, or with more than 8 bits.
    """
    values = _read(path, as_stored=True)
    if values.dtype != np.uint8:
        raise DatasetError(f"{path} holds {values.dtype}", "Expected 8 bits, the class ids")
    if values.ndim == 2:
        return values
    return np.ascontiguousarray(values[..., :3])


def write_image(path: Path, image: NDArray[np.uint8]) -> None:
    """Write uint8 [H, W, 3] RGB or [H, W]; the suffix decides the format. Makes the folder.

    Raises:
        DatasetError: the file cannot be written.
    """
    data = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    _, encoded = cv2.imencode(path.suffix, data)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded.tobytes())
    except OSError as error:
        raise DatasetError(f"cannot write {path} ({error})", "Check the disk and the permissions") from None


def read_audio(path: Path, sample_rate_hz: int) -> NDArray[np.float32]:
    """Read a sound of any format: the mean of its channels at the rate asked for, float32 [n].

    Raises:
        DatasetError: the file is missing, no sound, or holds no sample.
    """
    if not path.is_file():
        raise DatasetError(f"{path} does not exist", "Check that the archive was unpacked whole")
    try:
        with av.open(str(path)) as container:
            stream = container.streams.audio[0]
            blocks = [_mono(frame) for frame in container.decode(stream)]
            rate = stream.rate
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read as sound ({error})", "Get the file again") from None
    if not blocks:
        raise DatasetError(f"{path} holds no sound", "Get the file again")
    samples = np.concatenate(blocks)
    if rate != sample_rate_hz:
        samples = np.asarray(soxr.resample(samples, rate, sample_rate_hz), np.float32)
    return samples


def write_wav(path: Path, samples: NDArray[np.float32], sample_rate_hz: int) -> None:
    """Write float32 [n] in [-1, 1] as 16-bit mono wav; samples on the 16-bit grid are kept exactly.

    Raises:
        DatasetError: the file cannot be written.
    """
    values = np.clip(np.round(samples * _INT16), -_INT16, _INT16 - 1).astype("<i2")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(sample_rate_hz)
            file.writeframes(values.tobytes())
    except OSError as error:
        raise DatasetError(f"cannot write {path} ({error})", "Check the disk and the permissions") from None


def _read(path: Path, *, grey: bool = False, as_stored: bool = False) -> NDArray[Any]:
    if not path.is_file():
        raise DatasetError(f"{path} does not exist", "Check that the archive was unpacked whole")
    try:
        return decode_picture(path.read_bytes(), grey=grey, as_stored=as_stored)
    except PictureError as error:
        raise DatasetError(f"{path} is not a picture: {error}", "Get the file again") from None


def _mono(frame: av.AudioFrame) -> NDArray[np.float32]:
    """[channels, n] or [1, n * channels] of any sample type -> float32 [n] in [-1, 1]."""
    values = frame.to_ndarray()
    channels = frame.layout.nb_channels
    if not frame.format.is_planar:
        values = values.reshape(-1, channels).T
    scaled: NDArray[np.float32] = values.astype(np.float32)
    if values.dtype == np.uint8:
        scaled = (scaled - np.float32(128)) / np.float32(128)
    elif np.issubdtype(values.dtype, np.integer):
        scaled = scaled / np.float32(-float(np.iinfo(str(values.dtype)).min))
    return scaled.mean(axis=0, dtype=np.float32)
