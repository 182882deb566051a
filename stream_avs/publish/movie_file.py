"""A video file with sound, written piece by piece, each piece at its own time.

Pictures come at a varying rate and keep their times. Sound is kept in step by its time stamps: a
hole becomes silence, what comes twice is cut, and the clocks' drift is evened out in steps of 40 ms.

The file is fragmented MP4: a fragment a second, so a process that is killed leaves a file that
plays up to its last second. Closing turns it into an ordinary MP4.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from stream_avs.errors import PublishError, missing_package
from stream_avs.types import NS_PER_MS, NS_PER_S, Image, Samples

try:
    import av
    import cv2
except ImportError as error:
    raise missing_package(str(error.name), "live") from None

WRITE_ERRORS: tuple[type[Exception], ...] = (OSError, av.FFmpegError)
"""What writing on raises when the disk is full, or the like."""
CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".m4v": "mp4", ".mkv": "matroska"}
# What AAC knows; any other rate is resampled to the last.
_AAC_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 96000, 48000)
_SOUND_TOLERANCE_S = 0.04
_MS = Fraction(1, 1000)
_BT709 = 1
_LIMITED_RANGE = 1


def check_movie_path(path: Path) -> str:
    """Return the container format of a file that can be written; leaves an empty file there.

    Raises:
        PublishError: an unknown ending, no such folder, or not writable.
    """
    container = CONTAINERS.get(path.suffix.lower())
    if container is None:
        raise PublishError(f"video file {path} has an unknown ending", f"Use one of {', '.join(CONTAINERS)}")
    if not path.parent.is_dir():
        raise PublishError(f"folder {path.parent} does not exist", f"Run: mkdir -p {path.parent}")
    try:
        path.open("wb").close()
    except OSError as error:
        raise PublishError(
            f"cannot write {path}: {error.strerror}", "Choose another file or folder"
        ) from None
    return container


class MovieFile:
    """Writes H.264 (MPEG-4 where libx264 is missing) and AAC. Not thread-safe.

    Args:
        path: .mp4, .m4v, .mov or .mkv; what is there is overwritten.
        size: (width, height) of the picture in pixels; an odd last row or column is cut.
        fps: about how many pictures a second will come.
        sample_rate_hz: about the rate of the sound; None for a file without.

    Raises:
        PublishError: the file cannot be written, or a codec is missing.
    """

    def __init__(self, path: Path, size: tuple[int, int], fps: float, sample_rate_hz: int | None) -> None:
        container = check_movie_path(path)
        options = {"flush_packets": "1"}
        if container != "matroska":
            options["movflags"] = "hybrid_fragmented+frag_keyframe"
        try:
            self._container = av.open(str(path), "w", format=container, options=options)
            self._video = _add_video(self._container, size, fps)
            self._sound = None if sample_rate_hz is None else _Sound(self._container, sample_rate_hz)
            self._container.start_encoding()
        except (OSError, av.FFmpegError, ValueError) as error:
            raise PublishError(f"cannot write {path}: {error}", "Choose another file or folder") from None
        self._last_ms = -1

    def picture(self, image: Image, time_ns: int) -> bool:
        """Add uint8 [H, W, 3] RGB at `time_ns` >= 0; False, unused, unless 1 ms later than the one before.

        Raises:
            WRITE_ERRORS: the disk is full, or the like.
        """
        time_ms = round(time_ns / NS_PER_MS)
        if time_ms <= self._last_ms:
            return False
        self._last_ms = time_ms
        width, height = self._video.width, self._video.height
        if image.shape[0] - height not in (0, 1) or image.shape[1] - width not in (0, 1):
            image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        pixels = np.ascontiguousarray(image[:height, :width])
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
            format="yuv420p", dst_colorspace=_BT709, dst_color_range=_LIMITED_RANGE
        )
        frame.pts, frame.time_base = time_ms, _MS
        for packet in self._video.encode(frame):
            self._container.mux(packet)
        return True

    def sound(self, samples: Samples, time_ns: int, sample_rate_hz: int) -> None:
        """Add float32 [n, channels] whose first sample belongs at `time_ns`; channels are averaged.

        What lies before 0 is cut.

        Raises:
            WRITE_ERRORS: the disk is full, or the like.
        """
        if self._sound is None:
            return
        for packet in self._sound.encode(samples.mean(axis=1, dtype=np.float32), time_ns, sample_rate_hz):
            self._container.mux(packet)

    def close(self) -> None:
        """Write what is left and finish the file; one without pictures gets a black one.

        Raises:
            WRITE_ERRORS: the disk is full, or the like.
        """
        try:
            if self._last_ms < 0:
                # libavformat crashes on closing a hybrid MP4 that has nothing in it.
                self.picture(np.zeros((self._video.height, self._video.width, 3), np.uint8), 0)
            for packet in self._video.encode(None):
                self._container.mux(packet)
            for packet in self._sound.flush() if self._sound else ():
                self._container.mux(packet)
        finally:
            self._container.close()


class _Sound:
    """The sound track: a running count of samples, held to the times of what comes."""

    def __init__(self, container: Any, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz if sample_rate_hz in _AAC_RATES_HZ else _AAC_RATES_HZ[-1]
        self._stream = container.add_stream("aac", rate=self._rate_hz, layout="mono")
        self._written = 0
        self._resampler: Any = None
        self._resampler_hz = 0

    def encode(self, mono: Samples, time_ns: int, sample_rate_hz: int) -> list[Any]:
        """Return the packets that are ready after samples [n] that begin at `time_ns`."""
        lag_s = time_ns / NS_PER_S - self._written / self._rate_hz
        # Small deviations are the jitter of stamps; the first block says where the sound begins.
        tolerance_s = _SOUND_TOLERANCE_S if self._written else 0.0
        packets = []
        if lag_s > tolerance_s:
            packets = self._append(np.zeros(round(lag_s * self._rate_hz), np.float32))
        elif lag_s < -tolerance_s:
            mono = mono[round(-lag_s * sample_rate_hz) :]
        if len(mono):
            packets += self._append(self._resampled(mono, sample_rate_hz))
        return packets

    def flush(self) -> list[Any]:
        """Return the packets that are left."""
        return list(self._stream.encode(None))

    def _append(self, mono: Samples) -> list[Any]:
        packets: list[Any] = []
        for start in range(0, len(mono), self._rate_hz):
            part = mono[start : start + self._rate_hz]
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part[None]), format="fltp", layout="mono")
            frame.sample_rate = self._rate_hz
            frame.pts, frame.time_base = self._written, Fraction(1, self._rate_hz)
            self._written += len(part)
            packets += self._stream.encode(frame)
        return packets

    def _resampled(self, mono: Samples, sample_rate_hz: int) -> Samples:
        if sample_rate_hz == self._rate_hz:
            return mono
        if self._resampler_hz != sample_rate_hz:
            self._resampler = av.AudioResampler(format="fltp", layout="mono", rate=self._rate_hz)
            self._resampler_hz = sample_rate_hz
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(mono[None]), format="fltp", layout="mono")
        frame.sample_rate = sample_rate_hz
        parts = [f.to_ndarray()[0] for f in self._resampler.resample(frame)]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _add_video(container: Any, size: tuple[int, int], fps: float) -> Any:
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
    stream.width, stream.height = (max(2, side & ~1) for side in size)
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.time_base = _MS
    context.thread_count = 2
    context.gop_size = max(1, round(fps))
    context.max_b_frames = 0
    context.color_primaries = context.color_trc = context.colorspace = _BT709
    context.color_range = _LIMITED_RANGE
    if codec == "libx264":
        stream.options = {"preset": "superfast", "crf": "20"}
    else:
        context.bit_rate = int(0.15 * stream.width * stream.height * fps)
    return stream
