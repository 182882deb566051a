"""First steps of a network are slow; take them before the first frame comes."""

from __future__ import annotations

import time

import numpy as np

from stream_avs.models.base import AnyModel, Stages
from stream_avs.types import Frame, Window

STEPS = 2


def warm_up(model: AnyModel, steps: int = STEPS) -> float:
    """Step `model` on a grey picture with noise, on a state of its own that is thrown away.

    Args:
        model: any.
        steps: how many; one is enough where another of its kind has run in this process.

    Returns:
        Seconds that the last of these steps took.
    """
    image = np.full((model.input_px, model.input_px, 3), 127, np.uint8)
    samples = round(model.context_s * model.sample_rate_hz)
    audio = np.random.default_rng(0).uniform(-0.01, 0.01, (model.frames, samples)).astype(np.float32)
    frame = Frame(image=image, stamp_ns=0, arrival_ns=0, seq=0)
    window = Window(
        frames=(frame,) * model.frames,
        audio=audio,
        audio_coverage=np.ones(model.frames, np.float32),
        sample_rate_hz=model.sample_rate_hz,
        distinct=1,
        reset=True,
        reset_reason="start",
    )
    state = model.initial_state()
    for _ in range(steps):
        begun_s = time.monotonic()
        _, state = model.step(window, state, Stages())
    return time.monotonic() - begun_s
