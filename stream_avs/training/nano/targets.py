"""What should be masked, from what is seen and what is heard."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_avs.training.nano.assets import IGNORE


def loose_target(ids: NDArray[np.uint8], heard: NDArray[np.int8]) -> NDArray[np.uint8]:
    """What sounds when every seen object of a heard class does.

    Args:
        ids: uint8 [F, h, w], VOC classes, 255 unknown.
        heard: int8 [F, 21].

    Returns:
        uint8 [F, h, w], 255 where it cannot be told.
    """
    table = np.zeros((len(ids), 256), np.uint8)
    table[:, IGNORE] = IGNORE
    classes = np.arange(heard.shape[1], dtype=np.uint8)
    table[:, : heard.shape[1]] = np.where(heard == 1, classes, np.where(heard == -1, IGNORE, 0))
    table[:, 0] = 0
    return np.take_along_axis(table, ids.reshape(len(ids), -1), axis=1).reshape(ids.shape)
