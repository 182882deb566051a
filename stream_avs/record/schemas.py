"""The message types in a recording: names and ros2msg definitions (FORMAT.md).

Pictures, masks and sound are Foxglove's types, which Foxglove shows and the Debian package
ros-*-foxglove-msgs knows; what only this package reads has types of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

_TIME = """
================================================================================
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageType:
    """One message type.

    Attributes:
        name: as ROS 2 writes it, package/msg/Name.
        definition: in ros2msg, with the types it uses.
    """

    name: str
    definition: str


def _type(name: str, fields: str) -> MessageType:
    return MessageType(name=name, definition=fields.strip() + _TIME)


RAW_IMAGE = _type(
    "foxglove_msgs/msg/RawImage",
    """
builtin_interfaces/Time timestamp
string frame_id
uint32 width
uint32 height
string encoding
uint32 step
uint8[] data
""",
)
COMPRESSED_IMAGE = _type(
    "foxglove_msgs/msg/CompressedImage",
    """
builtin_interfaces/Time timestamp
string frame_id
uint8[] data
string format
""",
)
RAW_AUDIO = _type(
    "foxglove_msgs/msg/RawAudio",
    """
builtin_interfaces/Time timestamp
uint8[] data
string format
uint32 sample_rate
uint32 number_of_channels
""",
)
EXACT_AUDIO = _type(
    "stream_avs_msgs/msg/ExactAudio",
    """
# The samples of the audio message before, where 16 bits cannot hold them: float32, interleaved.
builtin_interfaces/Time timestamp
uint8[] data
""",
)
RESULT = _type(
    "stream_avs_msgs/msg/Result",
    """
# One mask with everything about it. `wire` is complete: a message of profile "latest" (WIRE.md).
builtin_interfaces/Time timestamp
string state
string sounding
float32 sounding_score
float32 age_ms
float32 audio_level_dbfs
uint32 dropped
uint8[] wire
""",
)
NOTE = _type(
    "stream_avs_msgs/msg/Note",
    """
# What happened beside the data, see FORMAT.md. stamp_ns is on the recording machine's monotonic clock.
builtin_interfaces/Time timestamp
int64 stamp_ns
string kind
string name
string text
""",
)
