"""Filmed scenes as encoded files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av_scene import RATE_HZ, Scene, film


def write_film(path: Path, scene: Scene, video: str = "libx264", audio: str = "aac") -> Path:
    """Encode a filmed scene; every picture and sound keeps its own time."""
    track, (piece,) = film(scene)
    lead_s = 1.0 - scene.start_s  # stamps in a file begin near zero
    with av.open(str(path), "w") as container:
        sight = container.add_stream(video, rate=Fraction(scene.fps).limit_denominator(1001))
        sight.width, sight.height, sight.pix_fmt = 256, 192, "yuv420p"
        if video == "libx264":
            sight.options = {"preset": "ultrafast"}
        sight.time_base = sight.codec_context.time_base = Fraction(1, 60_000)
        sound = container.add_stream(audio, rate=RATE_HZ, layout="mono")
        for grey, stamp_ns in zip(track.grey, track.stamps_ns, strict=True):
            image = np.kron(grey, np.ones((192 // grey.shape[0], 256 // grey.shape[1]), np.uint8))
            full = np.zeros((192, 256), np.uint8)
            full[: image.shape[0], : image.shape[1]] = image
            frame = av.VideoFrame.from_ndarray(full, format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = round((stamp_ns / 1e9 + lead_s) * 60_000), Fraction(1, 60_000)
            container.mux(sight.encode(frame))
        begin = round((piece.start_ns / 1e9 + lead_s) * RATE_HZ)
        for at in range(0, len(piece.samples), 1024):
            block = np.ascontiguousarray(piece.samples[None, at : at + 1024])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, begin + at, Fraction(1, RATE_HZ)
            container.mux(sound.encode(frame))
        container.mux(sight.encode(None))
        container.mux(sound.encode(None))
    return path
