"""Clips side by side: picture, truth, prediction."""

from __future__ import annotations

import base64

import cv2
import numpy as np
from numpy.typing import NDArray

from stream_avs.errors import StreamAvsError
from stream_avs.publish.palette import PALETTE
from stream_avs.training.scoring import Example

TINT = 0.3
DIMMED = 0.4
_GAP_PX = 2


def tinted(frames: NDArray[np.uint8], masks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Leave colour to what sounds, with a tint and an outline of its class; the rest is dim and grey.

    Args:
        frames: uint8 [T, S, S, 3], RGB.
        masks: uint8 [T, S, S], class ids.

    Returns:
        uint8 [T, S, S, 3], RGB.
    """
    colour = PALETTE[masks].astype(np.float32)
    grey = frames.mean(axis=3, keepdims=True) * DIMMED
    seen = np.where(masks[..., None] > 0, frames * (1 - TINT) + colour * TINT, grey)
    kernel = np.ones((3, 3), np.uint8)
    inner = np.stack([cv2.erode(mask, kernel) for mask in masks])  # smaller ids grow into larger ones
    return np.where(((inner != masks) & (masks > 0))[..., None], colour, seen).round().astype(np.uint8)


def sheet(example: Example) -> NDArray[np.uint8]:
    """One clip as a picture: rows frame, truth, prediction; columns are the frames.

    Frames whose truth is not known are grey in the row of truths.

    Returns:
        uint8 [3 * S + gaps, T * S + gaps, 3], RGB.
    """
    truth = tinted(example.frames, example.truth)
    truth[~example.labelled] = 128
    rows = (example.frames, truth, tinted(example.frames, example.predicted))
    T, S = example.frames.shape[:2]
    cell = S + _GAP_PX
    page = np.full((3 * cell - _GAP_PX, T * cell - _GAP_PX, 3), 255, np.uint8)
    for r, row in enumerate(rows):
        for t, image in enumerate(row):
            page[r * cell : r * cell + S, t * cell : t * cell + S] = image
    return page


def data_url(image: NDArray[np.uint8]) -> str:
    """An RGB picture as a PNG inside a URL, for pages that stand alone."""
    ok, encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not ok:
        raise StreamAvsError(f"cannot encode a picture of {image.shape}")
    return "data:image/png;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")
