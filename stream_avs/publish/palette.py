"""One colour per class id, the same everywhere. NumPy only.

The hues are Okabe and Ito's (2008), chosen to be told apart with every common colour blindness;
they come back in other lightnesses. Colours repeat after 35 ids: names are always drawn beside them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_avs.publish.png import encode_png
from stream_avs.types import ClassMap

_HUES = (
    (230, 159, 0),  # orange: stands out indoors and out, so it is the first, and a person's
    (86, 180, 233),  # sky blue
    (0, 158, 115),  # bluish green
    (204, 121, 167),  # reddish purple
    (240, 228, 66),  # yellow
    (213, 94, 0),  # vermilion
    (0, 114, 178),  # blue
)
_LIGHTNESS = (0.0, 0.5, 0.2, -0.35, -0.6)  # towards white (positive) or black
_RESERVED = (128, 128, 128)


def _make() -> NDArray[np.uint8]:
    table = np.zeros((256, 3), np.uint8)
    for k in range(254):
        lightness = _LIGHTNESS[k // len(_HUES) % len(_LIGHTNESS)]
        towards = 255.0 if lightness > 0 else 0.0
        hue = np.array(_HUES[k % len(_HUES)], np.float64)
        table[k + 1] = np.rint(hue + (towards - hue) * abs(lightness))
    table[255] = _RESERVED
    table.flags.writeable = False
    return table


PALETTE = _make()
"""uint8 [256, 3] RGB by class id; 0 is black, 255 grey."""


def colour_of(class_id: int) -> tuple[int, int, int]:
    """Return the colour (R, G, B), 0..255, of a class id 0..255."""
    r, g, b = PALETTE[class_id].tolist()
    return r, g, b


def mask_png(mask: ClassMap) -> bytes:
    """Write uint8 [h, w] as a PNG file whose pixels are the class ids and whose palette colours them."""
    return encode_png(mask, PALETTE)
