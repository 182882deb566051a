"""The flash-and-beep target: a video whose white flashes and beeps begin together.

Flashes begin with a frame, because a screen can show them at no other time. The pauses are uneven,
so that a camera's frames see them at many phases and no wrong shift fits as well as the right one.
At less than one flash per second the video keeps well below the three per second at which flicker
can harm (WCAG 2.3.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stream_avs.calibration.opencv import cv2
from stream_avs.config import require
from stream_avs.errors import ConfigError, missing_package
from stream_avs.types import Image, Samples

if TYPE_CHECKING:
    from av.container import OutputContainer

SAMPLE_RATE_HZ = 48_000
LEAD_S = 3.0
"""Quiet time before the first event: players fade in and show their controls."""
TAIL_S = 2.0
PAUSES_S = (1.1, 2.2)
FLASH_S = 0.2
"""Long enough to fill two exposures of a camera at 15 fps."""
BEEP_S = 0.06
BEEP_HZ = 2000.0
"""Small loudspeakers are loud here, and room noise is not."""
AUDIO_FRAME = 1024


@dataclass(frozen=True, kw_only=True)
class FlashBeepConfig:
    """The target video."""

    events: int = 25
    """Number of flashes with beeps."""
    width_px: int = 1280
    """Width of the video; even."""
    height_px: int = 720
    """Height of the video; even."""
    fps: int = 60
    """Frames per second: the refresh rate of the screen that will show it."""
    shift_s: float = 0.0
    """Let the beeps begin this much later than the flashes, to test a calibration."""
    seed: int = 1
    """Same seed, same pauses."""

    def __post_init__(self) -> None:
        require(1 <= self.events <= 500, "events", self.events, "1..500")
        for name, value in (("width_px", self.width_px), ("height_px", self.height_px)):
            require(64 <= value <= 7680 and value % 2 == 0, name, value, "an even number in 64..7680")
        require(10 <= self.fps <= 240, "fps", self.fps, "10..240 Hz")
        require(abs(self.shift_s) <= 2, "shift_s", self.shift_s, "-2..2 s")

    def event_frames(self) -> tuple[int, ...]:
        """The frames with which the flashes begin."""
        rng = np.random.default_rng(self.seed)
        low, high = (round(s * self.fps) for s in PAUSES_S)
        pauses = rng.integers(low, high, self.events - 1, endpoint=True)
        first = round(LEAD_S * self.fps)
        return tuple(int(f) for f in first + np.concatenate(([0], np.cumsum(pauses))))

    @property
    def duration_s(self) -> float:
        """Length of the video."""
        return self.event_frames()[-1] / self.fps + TAIL_S


def beeps(config: FlashBeepConfig) -> Samples:
    """The sound track: float32 [n], mono, at `SAMPLE_RATE_HZ`."""
    samples = np.zeros(round(config.duration_s * SAMPLE_RATE_HZ), np.float32)
    t = np.arange(round(BEEP_S * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    # Loud from its first cycle on, then fading: the beginning is what is timed.
    beep = (0.7 * np.sin(2 * np.pi * BEEP_HZ * t) * np.exp(-t / (BEEP_S / 3))).astype(np.float32)
    for frame in config.event_frames():
        begin = round((frame / config.fps + config.shift_s) * SAMPLE_RATE_HZ)
        samples[begin : begin + len(beep)] += beep[: len(samples) - begin]
    return samples


def pictures(config: FlashBeepConfig) -> Iterator[Image]:
    """The frames, in order: uint8 [H, W, 3] RGB; the same two arrays again and again."""
    dark, bright = _dark(config), np.full((config.height_px, config.width_px, 3), 255, np.uint8)
    length = max(1, round(FLASH_S * config.fps))
    white = {f + i for f in config.event_frames() for i in range(length)}
    for n in range(round(config.duration_s * config.fps)):
        yield bright if n in white else dark


def write_flash_beep(path: Path, config: FlashBeepConfig) -> None:
    """Write the target as MP4 (H.264, AAC).

    Raises:
        ConfigError: the file cannot be written, or is not named .mp4.
        MissingPackageError: PyAV is not installed.
    """
    if path.suffix.lower() != ".mp4":
        raise ConfigError(
            f"target video {path} is not an MP4", "Name it .mp4: every phone and browser plays it"
        )
    try:
        import av
    except ImportError:
        raise missing_package("av (PyAV)", "live") from None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
            _encode(container, config, av)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", "Choose another place") from None


def _encode(container: OutputContainer, config: FlashBeepConfig, av: Any) -> None:
    video = container.add_stream("libx264", rate=config.fps, options={"preset": "veryfast", "crf": "20"})
    video.width, video.height, video.pix_fmt = config.width_px, config.height_px, "yuv420p"
    audio = container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
    audio.bit_rate = 160_000
    sound = beeps(config)
    sent = 0
    made: dict[int, Any] = {}
    for n, image in enumerate(pictures(config)):
        if id(image) not in made:
            made[id(image)] = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
        frame = made[id(image)]
        frame.pts, frame.time_base = n, Fraction(1, config.fps)
        container.mux(video.encode(frame))
        until = round((n + 1) / config.fps * SAMPLE_RATE_HZ)
        while sent < min(until, len(sound)):
            container.mux(audio.encode(_audio_frame(sound, sent, av)))
            sent += AUDIO_FRAME
    container.mux(video.encode(None))
    container.mux(audio.encode(None))


def _audio_frame(sound: NDArray[np.float32], begin: int, av: Any) -> Any:
    piece = sound[begin : begin + AUDIO_FRAME]
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(piece[None, :]), format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE_HZ, begin, Fraction(1, SAMPLE_RATE_HZ)
    return frame


def _dark(config: FlashBeepConfig) -> Image:
    """The picture between flashes: black, with a mark to aim at and a line on how to use it."""
    image = np.zeros((config.height_px, config.width_px, 3), np.uint8)
    scale = config.height_px / 720
    centre = (config.width_px // 2, config.height_px // 2)
    cv2.circle(image, centre, round(28 * scale), (70, 70, 70), max(1, round(3 * scale)), cv2.LINE_AA)
    text = "stream_avs flash-beep: full screen, loud; keep still until the end"
    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.8 * scale
    (width, _), _ = cv2.getTextSize(text, font, size, 1)
    place = (centre[0] - width // 2, round(config.height_px - 36 * scale))
    cv2.putText(image, text, place, font, size, (70, 70, 70), max(1, round(scale)), cv2.LINE_AA)
    return image
