"""Triangular mel filters on the mel axis, shared by both front ends."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def hz_to_mel(frequency_hz: ArrayLike) -> NDArray[np.float64]:
    """HTK mel scale: 1127 ln(1 + f / 700)."""
    return 1127.0 * np.log1p(np.asarray(frequency_hz, np.float64) / 700.0)


def mel_filters(*, bands: int, low_hz: float, high_hz: float, bins_hz: ArrayLike) -> NDArray[np.float64]:
    """Return triangles of height 1, equally spaced on the mel axis, without area normalisation.

    Args:
        bands: number of triangles.
        low_hz: left foot of the first triangle.
        high_hz: right foot of the last triangle.
        bins_hz: frequencies of the spectrum bins, [bins].

    Returns:
        float64 [bands, bins].
    """
    edges = np.linspace(hz_to_mel(low_hz), hz_to_mel(high_hz), bands + 2)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    at = hz_to_mel(bins_hz)[None, :]
    return np.maximum(0.0, np.minimum((at - left) / (centre - left), (right - at) / (right - centre)))
