"""The overlay of the ROS nodes: an image and the mask with the same stamp become one picture."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from stream_avs.errors import WireError
from stream_avs.publish.draw import overlay
from stream_avs.ros2 import image_fields as images
from stream_avs.ros2.fields import Fields, header_of
from stream_avs.ros2.image_input import compressed_to_rgb, image_to_rgb
from stream_avs.types import ClassMap, Image


class Overlay:
    """Joins images and masks by their stamps, which are equal.

    Args:
        emit: gets each finished picture.
        history: images kept while their mask is awaited.
        opacity: of the tint, 0..1; may be changed at any time.
    """

    def __init__(self, emit: Callable[[Fields], None], *, history: int = 30, opacity: float = 0.5) -> None:
        self._emit = emit
        self._history = history
        self._images: OrderedDict[int, Image] = OrderedDict()
        self._labels: dict[int, str] = {}
        self.opacity = opacity
        self.unmatched = 0
        """Masks whose image was not there."""

    def image(self, message: Any) -> None:
        """Take a `sensor_msgs/Image`; raises WireError if it cannot be read."""
        self._keep(message, image_to_rgb(message))

    def compressed_image(self, message: Any) -> None:
        """Take a `sensor_msgs/CompressedImage`; raises WireError if it cannot be read."""
        self._keep(message, compressed_to_rgb(message))

    def labels(self, message: Any) -> None:
        """Take a `vision_msgs/LabelInfo`."""
        self._labels = {int(c.class_id): str(c.class_name) for c in message.class_map if c.class_id}

    def mask(self, message: Any) -> None:
        """Take a mask, `sensor_msgs/Image` mono8; draws it if its image is there.

        Raises:
            WireError: no mask.
        """
        header = header_of(message)
        image = self._images.get(header.stamp_ns)
        if image is None:
            self.unmatched += 1
            return
        drawn = overlay(image, class_ids(message), labels=self._labels, opacity=self.opacity)
        self._emit(images.rgb(drawn, header))

    def _keep(self, message: Any, image: Image) -> None:
        self._images[header_of(message).stamp_ns] = image
        while len(self._images) > self._history:
            self._images.popitem(last=False)


def class_ids(message: Any) -> ClassMap:
    """Class ids of a mono8 mask message, uint8 [h, w]; what is UNLABELED counts as not sounding.

    Raises:
        WireError: another encoding, or data that does not fit the size.
    """
    if message.encoding not in ("mono8", "8UC1"):
        raise WireError(f"mask has encoding {str(message.encoding)!r}", "Expected mono8 class ids")
    ids = np.array(image_to_rgb(message)[:, :, 0])
    ids[ids == images.UNLABELED] = 0
    return ids
