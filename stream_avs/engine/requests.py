"""What streams ask of an engine, and what they get: one mask of one stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

THRESHOLD = 0.5
"""A pixel sounds above this probability, where nobody asks for another."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameInput:
    """One frame to encode.

    Attributes:
        slot: where its features go.
        image: uint8 [1, 3, S, S], RGB.
        log_mel: float32 [1, *audio_shape].
    """

    slot: int
    image: Tensor
    log_mel: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """One mask wanted of one stream.

    Attributes:
        row: of the stream.
        newest: the frame the mask is for.
        others: older frames of the window that are not kept yet.
        looks_at: slots of the frames in play, `newest` among them; unless the engine is causal one for
            each frame of the window, repeats included.
        carried: where the inter-frame queries that are carried here were left; None starts afresh.
        leaves: where to leave those for later.
        threshold: a pixel sounds above this probability.
    """

    row: int
    newest: FrameInput
    others: tuple[FrameInput, ...] = ()
    looks_at: tuple[int, ...]
    carried: int | None
    leaves: int
    threshold: float = THRESHOLD


@dataclass(frozen=True, kw_only=True, eq=False)
class Output:
    """What the network says about one frame.

    Attributes:
        pixels: uint8 [2, H, W], class ids, and probability of the winning class times 255.
        sounding: probability that anything visible sounds.
        logits: [classes, H, W] on the device; valid until the next step.
    """

    pixels: NDArray[np.uint8]
    sounding: float
    logits: Tensor
