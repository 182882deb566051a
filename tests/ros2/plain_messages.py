"""Messages as bare objects, the way any ROS library gives them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from stream_avs.ros2.fields import Byte, Fields, Header, build, header_fields


def plain(fields: Fields) -> Any:
    """Build a message of nested namespaces."""
    return build(fields, lambda _type, values: SimpleNamespace(**values))


def header(stamp_ns: int = 12_000_000_345, frame_id: str = "camera_optical") -> Any:
    """A `std_msgs/Header`."""
    return plain(header_fields(Header(stamp_ns=stamp_ns, frame_id=frame_id)))


def message(**values: Any) -> Any:
    """Any message with a header."""
    return SimpleNamespace(**{"header": header(), **values})


__all__ = ["Byte", "header", "message", "plain"]
