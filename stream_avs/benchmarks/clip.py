"""A short file as a source of measurements: in memory, or written again at another rate, size and length."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from stream_avs.publish.movie_file import MovieFile
from stream_avs.types import NS_PER_S, Image, Samples


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Clip:
    """A whole file.

    Attributes:
        pictures: RGB uint8 [H, W, 3].
        fps: their rate, Hz.
        sound: mono, as long as the pictures last.
        sample_rate_hz: its rate.
    """

    pictures: list[Image]
    fps: float
    sound: Samples
    sample_rate_hz: int


def read_clip(path: Path, *, sample_rate_hz: int = 0, size: tuple[int, int] | None = None) -> Clip:
    """Decode a file with picture and sound; a rate of 0 and no size keep its own."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        fps = float(stream.average_rate or 25)
        pictures = []
        for frame in container.decode(stream):
            image = frame.to_ndarray(format="rgb24")
            pictures.append(np.asarray(cv2.resize(image, size) if size else image, np.uint8))
    with av.open(str(path)) as container:
        rate_hz = sample_rate_hz or container.streams.audio[0].rate
        resampler = av.AudioResampler(format="flt", layout="mono", rate=rate_hz)
        parts = (part for frame in container.decode(audio=0) for part in resampler.resample(frame))
        sound = np.concatenate([part.to_ndarray()[0] for part in parts])
    sound = np.resize(sound, round(len(pictures) / fps * rate_hz)).astype(np.float32, copy=False)
    return Clip(pictures=pictures, fps=fps, sound=sound, sample_rate_hz=rate_hz)


@contextmanager
def clip_at(source: Path, fps: float, size: tuple[int, int], duration_s: float) -> Iterator[Path]:
    """Write `source`, again and again, as one file of `duration_s` with pictures at `fps` and `size`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        _write(path, read_clip(source, size=size), fps, duration_s)
        yield path


def _write(path: Path, clip: Clip, fps: float, duration_s: float) -> None:
    height, width = clip.pictures[0].shape[:2]
    hz = clip.sample_rate_hz
    sound = np.resize(clip.sound, round(duration_s * hz))
    movie = MovieFile(path, (width, height), fps, hz)
    for k in range(round(duration_s * fps)):
        time_ns = round(k * NS_PER_S / fps)
        movie.picture(clip.pictures[round(k / fps * clip.fps) % len(clip.pictures)], time_ns)
        movie.sound(sound[round(k / fps * hz) : round((k + 1) / fps * hz), None], time_ns, hz)
    movie.close()
