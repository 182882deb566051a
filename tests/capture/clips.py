"""Small media files with known content, made with PyAV."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from recording_sink import RecordingSink

WIDTH, HEIGHT, FPS, RATE_HZ = 96, 64, 25, 16000
EVENTS_S = (0.4, 1.0, 1.56)
"""When a flash is seen and a beep begins; all are times of frames."""

BEEP_S = 0.08


def picture(index: int, events_s: tuple[float, ...] = EVENTS_S) -> NDArray[np.uint8]:
    """Frame number `index`: dark, its top left quarter red; all white while it flashes."""
    image = np.full((HEIGHT, WIDTH, 3), 16, np.uint8)
    image[: HEIGHT // 2, : WIDTH // 2] = (200, 30, 30)
    if any(abs(index / FPS - event_s) < 1e-6 for event_s in events_s):
        image[:] = 250
    return image


def sound(seconds: float, events_s: tuple[float, ...] = EVENTS_S) -> NDArray[np.int16]:
    """Silence with a beep of 1 kHz at each event, mono."""
    t_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    samples = np.zeros(len(t_s))
    for event_s in events_s:
        on = (t_s >= event_s - 1e-9) & (t_s < event_s + BEEP_S)
        samples[on] = 0.5 * np.cos(2 * np.pi * 1000 * (t_s[on] - event_s))
    return np.round(samples * 32767).astype(np.int16)


def make_clip(
    path: Path,
    seconds: float = 2.0,
    *,
    video: str = "libx264",
    audio: str = "aac",
    audio_from_s: float = 0.0,
    packet_samples: int = 1024,
    events_s: tuple[float, ...] = EVENTS_S,
    options: dict[str, str] | None = None,
) -> Path:
    """Write a clip; "" for `video` or `audio` leaves that track out."""
    with av.open(str(path), "w", options=options or {}) as container:
        pictures = container.add_stream(video, FPS) if video else None
        sounds = container.add_stream(audio, RATE_HZ, layout="mono") if audio else None
        if pictures is not None:
            pictures.width, pictures.height, pictures.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            if video == "libx264":
                pictures.options = {"preset": "ultrafast", "g": "10"}
        first = round(audio_from_s * RATE_HZ)
        samples = sound(seconds, events_s)
        position = first
        for index in range(round(seconds * FPS)):
            if pictures is not None:
                frame = av.VideoFrame.from_ndarray(picture(index, events_s), format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, FPS)
                container.mux(pictures.encode(frame))
            while sounds is not None and position < min((index + 1) / FPS * RATE_HZ, len(samples)):
                piece = samples[position : position + packet_samples]
                block = av.AudioFrame.from_ndarray(piece[None], format="s16", layout="mono")
                block.sample_rate, block.pts, block.time_base = RATE_HZ, position, Fraction(1, RATE_HZ)
                container.mux(sounds.encode(block))
                position += len(piece)
        for stream in (pictures, sounds):
            if stream is not None:
                container.mux(stream.encode(None))
    return path


def rotated(path: Path, out: Path) -> Path:
    """Copy an mp4, its video track marked to be shown turned a quarter clockwise, as phones do."""
    data = path.read_bytes()
    one, minus_one, zero = (v.to_bytes(4, "big") for v in (0x00010000, 0xFFFF0000, 0))
    upright = one + zero * 3 + one + zero * 3
    turned = zero + one + zero + minus_one + zero * 4
    track = data.index(b"tkhd")
    begin = data.index(upright, track)
    assert begin - track < 80, "the matrix of the first track header"
    out.write_bytes(data[:begin] + turned + data[begin + len(upright) :])
    return out


def onsets_s(samples: NDArray[np.float32], rate_hz: int, level: float = 0.2) -> list[float]:
    """Times at which a beep begins after at least 0.1 s of quiet."""
    loud = np.flatnonzero(np.abs(samples) > level)
    if len(loud) == 0:
        return []
    first = np.concatenate([[True], np.diff(loud) > 0.1 * rate_hz])
    return [float(index / rate_hz) for index in loud[first]]


def flashes_ns(sink: RecordingSink) -> list[int]:
    """Stamps of the frames that flash."""
    return [f.stamp_ns for f in sink.frames if f.image.mean() > 130]


def beeps_ns(sink: RecordingSink) -> list[int]:
    """Stamps of the beeps, each from the block it begins in, so that wrong block stamps show."""
    first = sink.blocks[0].block
    begins = np.cumsum([0] + [len(b.block.samples) for b in sink.blocks])
    found = []
    for onset_s in onsets_s(sink.samples(), first.sample_rate_hz):
        index = round(onset_s * first.sample_rate_hz)
        k = int(np.searchsorted(begins, index, side="right")) - 1
        into_ns = round((index - begins[k]) * 1e9 / first.sample_rate_hz)
        found.append(sink.blocks[k].block.stamp_ns + into_ns)
    return found
