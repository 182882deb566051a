"""Windows for models that look at one frame at a time, made from stored pictures and sound."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_avs.types import NS_PER_S, Frame, Window


def one_frame(
    image: NDArray[np.uint8],
    heard: NDArray[np.float32],
    *,
    time_s: float,
    seq: int,
    sample_rate_hz: int,
    coverage: float = 1.0,
) -> Window:
    """Make the window that a live session would have made of one frame.

    Args:
        image: uint8 [H, W, 3], RGB.
        heard: float32 [n], mono, up to the frame.
        time_s: of the frame; it also arrives then.
        seq: number of the frame in its stream; 0 resets what is carried.
        sample_rate_hz: of `heard`.
        coverage: share of `heard` that was recorded, 0..1.
    """
    stamp_ns = round(time_s * NS_PER_S)
    return Window(
        frames=(Frame(image=image, stamp_ns=stamp_ns, arrival_ns=stamp_ns, seq=seq),),
        audio=heard[None],
        audio_coverage=np.array([coverage], np.float32),
        sample_rate_hz=sample_rate_hz,
        distinct=1,
        reset=seq == 0,
    )
