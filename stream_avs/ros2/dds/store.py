# mypy: disable-error-code="import-not-found, no-any-return"
"""ROS messages to CDR bytes and back, and their type hashes, by rosbags."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from stream_avs.errors import WireError, missing_package
from stream_avs.ros2.audio_fields import AudioKind
from stream_avs.ros2.fields import Byte, Fields, build

try:
    from rosbags.interfaces.typing import Typesdict
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore
    from rosbags.typesys.store import Typestore
except ImportError:
    raise missing_package("rosbags", "dds") from None

_VISION = {
    "vision_msgs/msg/VisionClass": "uint16 class_id\nstring class_name",
    "vision_msgs/msg/LabelInfo": (
        "std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold"
    ),
}
_AUDIO = {
    AudioKind.ROS_DRIVERS: {
        "audio_common_msgs/msg/AudioData": "uint8[] data",
        "audio_common_msgs/msg/AudioDataStamped": (
            "std_msgs/Header header\naudio_common_msgs/AudioData audio"
        ),
        "audio_common_msgs/msg/AudioInfo": (
            "uint8 channels\nuint32 sample_rate\nstring sample_format\nuint32 bitrate\nstring coding_format"
        ),
    },
    AudioKind.MGONZS13: {
        "audio_common_msgs/msg/AudioData": (
            "float32[] float32_data\nint32[] int32_data\nint16[] int16_data\nint8[] int8_data\n"
            "uint8[] uint8_data"
        ),
        "audio_common_msgs/msg/AudioInfo": "uint32 format\nuint16 channels\nuint32 rate\nuint32 chunk",
        "audio_common_msgs/msg/Audio": (
            "audio_common_msgs/AudioData audio_data\naudio_common_msgs/AudioInfo info"
        ),
        "audio_common_msgs/msg/AudioStamped": "std_msgs/Header header\naudio_common_msgs/Audio audio",
    },
    AudioKind.AUDIO_UTILS: {
        "audio_utils_msgs/msg/AudioFrame": (
            "std_msgs/Header header\nstring format\nuint32 channel_count\nuint32 sampling_frequency\n"
            "uint32 frame_sample_count\nuint8[] data"
        ),
    },
}
"""The two packages named audio_common_msgs cannot be in one store."""


class Store:
    """Message definitions of Jazzy, of vision_msgs, and of one kind of audio messages.

    Args:
        audio_kind: whose audio messages.
    """

    def __init__(self, audio_kind: AudioKind = AudioKind.ROS_DRIVERS) -> None:
        self.types: Typestore = get_typestore(Stores.ROS2_JAZZY)
        definitions: Typesdict = {}
        for name, text in {**_VISION, **_AUDIO[audio_kind]}.items():
            definitions.update(get_types_from_msg(text, name))
        self.types.register(definitions)

    def encode(self, fields: Fields) -> bytes:
        """CDR (little-endian, with its header) of a message."""
        return bytes(self.types.serialize_cdr(build(fields, self._make), fields.type))

    def decode(self, data: bytes, type_name: str) -> Any:
        """Message of CDR bytes, its sequences as arrays; allocates at most 32 times `data` (short labels).

        Raises:
            WireError: the bytes do not hold such a message.
        """
        try:
            return self.types.deserialize_cdr(data, type_name)
        except Exception as error:  # rosbags lets index and struct errors of short data through
            raise WireError(f"{len(data)} bytes are no {type_name}: {error}") from None

    def type_hash(self, type_name: str) -> str:
        """The RIHS01 hash of a type (REP-2011)."""
        return self.types.hash_rihs01(type_name)

    def _make(self, type_name: str, values: dict[str, Any]) -> Any:
        defaults = self._empty_arrays(type_name)
        plain = {name: int(value) if isinstance(value, Byte) else value for name, value in values.items()}
        return self.types.types[type_name](**{**defaults, **plain})

    @cache  # noqa: B019  a store lives as long as its process
    def _empty_arrays(self, type_name: str) -> dict[str, Any]:
        """Empty sequences of numbers, for fields that are not given."""
        dtypes = {
            "float32": np.float32, "float64": np.float64, "int8": np.int8, "uint8": np.uint8,
            "int16": np.int16, "uint16": np.uint16, "int32": np.int32, "uint32": np.uint32,
        }  # fmt: skip
        empty: dict[str, Any] = {}
        for name, (_, detail) in self.types.fielddefs[type_name][1]:
            element = detail[0] if isinstance(detail, tuple) else None
            if isinstance(element, tuple) and isinstance(element[1], tuple) and element[1][0] in dtypes:
                empty[name] = np.zeros(0, dtypes[element[1][0]])
        return empty
