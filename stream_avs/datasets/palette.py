"""The colours that AVSBench-semantic masks are stored in (the PASCAL VOC palette)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

AVSS_CLASSES = 71


def voc_palette(colours: int = AVSS_CLASSES) -> NDArray[np.uint8]:
    """Return the colours, uint8 [colours, 3], RGB.

    Bits 0, 3, 6 of the index are bits 7, 6, 5 of red; bits 1, 4, 7 green; bits 2, 5, 8 blue.
    """
    index = np.arange(colours)
    palette = np.zeros((colours, 3), np.uint8)
    for channel in range(3):
        for place in range(3):
            bit = (index >> (3 * place + channel)) & 1
            palette[:, channel] |= (bit << (7 - place)).astype(np.uint8)
    return palette


def _codes(rgb: NDArray[np.uint8]) -> NDArray[np.int64]:
    wide = rgb.astype(np.int64)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


_CODES = _codes(voc_palette())
_ORDER = np.argsort(_CODES)
_SORTED = _CODES[_ORDER]


def decode(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Turn colours into class ids.

    Args:
        rgb: uint8 [H, W, 3].

    Returns:
        labels: uint8 [H, W], 0..70; 0 where the colour is unknown, as the published code has it.
        known: bool [H, W], False where the colour is not in the palette.
    """
    codes = _codes(rgb)
    place = np.minimum(np.searchsorted(_SORTED, codes), AVSS_CLASSES - 1)
    known = _SORTED[place] == codes
    return np.where(known, _ORDER[place], 0).astype(np.uint8), known


def encode(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn class ids 0..70, uint8 [H, W], into colours, uint8 [H, W, 3], RGB."""
    return voc_palette()[labels]
