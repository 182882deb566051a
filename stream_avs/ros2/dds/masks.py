"""Masks from the ROS graph, on a machine without ROS.

for mask in masks("/segmenter/mask"):
    print(mask.stamp_ns, mask.sounding)
"""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from stream_avs.errors import PublishError, StreamAvsError
from stream_avs.publish.mask_codec import present_ids
from stream_avs.ros2.dds.participant import Participant
from stream_avs.ros2.fields import IMAGE, LABEL_INFO, header_of
from stream_avs.ros2.image_fields import UNLABELED
from stream_avs.ros2.overlay import class_ids
from stream_avs.ros2.qos import PROFILES
from stream_avs.types import ClassMap


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RosMask:
    """One mask as it came over ROS.

    Attributes:
        ids: uint8 [h, w] class ids; 0 = not sounding.
        stamp_ns: ROS time of the source image.
        frame_id: of the source image.
        labels: names of the ids; empty until the node's `label_info` has come.
    """

    ids: ClassMap
    stamp_ns: int
    frame_id: str
    labels: dict[int, str]

    @property
    def sounding(self) -> tuple[str, ...]:
        """Names of the classes in this mask; their number where there is no name."""
        return tuple(self.labels.get(i, str(i)) for i in present_ids(self.ids) if i != UNLABELED)


def masks(
    topic: str = "/segmenter/mask", *, domain_id: int = 0, depth: int = 5, timeout_s: float = 10.0
) -> Iterator[RosMask]:
    """Yield the masks of a segmenter without end, the newest `depth` where the reader is slow.

    Args:
        topic: the mask topic; `label_info` is expected beside it.
        domain_id: ROS_DOMAIN_ID of the robot.
        depth: masks kept for a reader that is slow.
        timeout_s: give up if no mask comes for this long.

    Raises:
        PublishError: none came.
    """
    waiting: queue.SimpleQueue[RosMask] = queue.SimpleQueue()
    labels: dict[int, str] = {}

    def take_labels(message: Any) -> None:
        labels.update({int(c.class_id): str(c.class_name) for c in message.class_map})

    def take_mask(message: Any) -> None:
        try:
            ids = class_ids(message)
        except StreamAvsError:
            return  # some other image on this topic
        header = header_of(message)
        while waiting.qsize() >= depth:
            waiting.get()
        waiting.put(RosMask(ids=ids, stamp_ns=header.stamp_ns, frame_id=header.frame_id, labels=dict(labels)))

    with Participant(f"mask_reader_{np.random.default_rng().integers(1 << 30)}", domain_id=domain_id) as node:
        node.listen(topic.rsplit("/", 1)[0] + "/label_info", LABEL_INFO, take_labels, PROFILES["latched"])
        node.listen(topic, IMAGE, take_mask, PROFILES["sensor_data"])
        node.start()
        since_s = time.monotonic()
        while True:
            try:
                yield waiting.get(timeout=max(0.0, since_s + timeout_s - time.monotonic()))
            except queue.Empty:
                raise PublishError(
                    f"no mask came on {topic} in domain {domain_id} for {timeout_s:g} s",
                    "Is the segmenter active, in the same ROS_DOMAIN_ID?",
                ) from None
            since_s = time.monotonic()
