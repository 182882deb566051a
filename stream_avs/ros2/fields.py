"""ROS messages as plain data, so that one conversion serves rclpy, rosbags and the wire.

`Fields` says what a message holds; `build` makes it in whatever library is at hand. Received messages
are read by attribute, so any object with the fields of the type will do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stream_avs.types import NS_PER_S

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
LABEL_INFO = "vision_msgs/msg/LabelInfo"
VISION_CLASS = "vision_msgs/msg/VisionClass"
DIAGNOSTIC_ARRAY = "diagnostic_msgs/msg/DiagnosticArray"


class Byte(int):
    """Value of a `byte` field: bytes of length one in rclpy, an int in rosbags."""


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """What a message holds.

    Attributes:
        type: full type name, e.g. "sensor_msgs/msg/Image".
        values: all fields by name. Numbers, text, `Byte`, `Fields`, tuples of `Fields`; sequences of
            numbers are one-dimensional arrays of the field's own dtype, contiguous.
    """

    type: str
    values: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """Stamp and frame of a message.

    Attributes:
        stamp_ns: ROS time, nanoseconds since its epoch; 0..2**31 s.
        frame_id: tf frame.
    """

    stamp_ns: int
    frame_id: str


MakeMessage = Callable[[str, dict[str, Any]], Any]
"""Makes a message of the type named from its field values, already built."""


def build(fields: Fields, make: MakeMessage) -> Any:
    """Make the message that `fields` describes, from the inside out."""
    values = {}
    for name, value in fields.values.items():
        if isinstance(value, Fields):
            value = build(value, make)
        elif isinstance(value, tuple):
            value = [build(part, make) if isinstance(part, Fields) else part for part in value]
        values[name] = value
    return make(fields.type, values)


def time_fields(stamp_ns: int) -> Fields:
    """`builtin_interfaces/Time` of a time in nanoseconds, which may be negative."""
    sec, nanosec = divmod(stamp_ns, NS_PER_S)
    return Fields("builtin_interfaces/msg/Time", {"sec": sec, "nanosec": nanosec})


def time_ns(stamp: Any) -> int:
    """Nanoseconds of a `builtin_interfaces/Time`."""
    return int(stamp.sec) * NS_PER_S + int(stamp.nanosec)


def header_fields(header: Header) -> Fields:
    """`std_msgs/Header`."""
    return Fields("std_msgs/msg/Header", {"stamp": time_fields(header.stamp_ns), "frame_id": header.frame_id})


def header_of(message: Any) -> Header:
    """Read the header of a stamped message."""
    return Header(stamp_ns=time_ns(message.header.stamp), frame_id=str(message.header.frame_id))
