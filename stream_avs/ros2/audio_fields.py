"""Sound as `audio_common_msgs/AudioDataStamped` (ros-drivers), 16-bit little-endian, and its AudioInfo.

The stamp is the capture time of the first sample. Which of the three packages is installed is asked
of its fields, as on the way in; see `audio_input`.
"""

from __future__ import annotations

import enum

import numpy as np

from stream_avs.ros2.fields import Fields, Header, header_fields
from stream_avs.types import Samples

AUDIO_FRAME = "audio_utils_msgs/msg/AudioFrame"
AUDIO_STAMPED = "audio_common_msgs/msg/AudioStamped"
AUDIO_DATA_STAMPED = "audio_common_msgs/msg/AudioDataStamped"
AUDIO_INFO = "audio_common_msgs/msg/AudioInfo"
PA_INT16 = 8
"""PortAudio's paInt16, which mgonzs13's AudioInfo.format holds."""


class AudioKind(enum.StrEnum):
    """Package whose audio messages are meant."""

    ROS_DRIVERS = "ros_drivers"  # audio_common_msgs with AudioDataStamped and AudioInfo
    MGONZS13 = "mgonzs13"  # audio_common_msgs with AudioStamped
    AUDIO_UTILS = "audio_utils"  # audio_utils_msgs with AudioFrame


TYPES = {
    AudioKind.ROS_DRIVERS: AUDIO_DATA_STAMPED,
    AudioKind.MGONZS13: AUDIO_STAMPED,
    AudioKind.AUDIO_UTILS: AUDIO_FRAME,
}


def kind_of_type(type_name: str) -> AudioKind | None:
    """The package whose message `type_name` is, e.g. as a publisher on the graph announces it."""
    name = type_name.rsplit("/", 1)[-1]
    short = {full.rsplit("/", 1)[-1]: kind for kind, full in TYPES.items()}
    return short.get(name)


def audio_fields(kind: AudioKind, samples: Samples, rate_hz: int, header: Header) -> Fields:
    """One audio message of float32 [n, channels] in [-1, 1].

    Args:
        kind: whose message.
        samples: beyond [-1, 1] they clip.
        rate_hz: samples per second and channel.
        header: stamp of the first sample, and the microphone's frame.
    """
    pcm = np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2")
    head, data = header_fields(header), np.ascontiguousarray(pcm).reshape(-1).view(np.uint8)
    if kind is AudioKind.ROS_DRIVERS:
        audio = Fields("audio_common_msgs/msg/AudioData", {"data": data})
        return Fields(AUDIO_DATA_STAMPED, {"header": head, "audio": audio})
    if kind is AudioKind.AUDIO_UTILS:
        values = {
            "header": head, "format": "signed_16", "channel_count": pcm.shape[1],
            "sampling_frequency": rate_hz, "frame_sample_count": pcm.shape[0], "data": data,
        }  # fmt: skip
        return Fields(AUDIO_FRAME, values)
    info = {"format": PA_INT16, "channels": pcm.shape[1], "rate": rate_hz, "chunk": pcm.shape[0]}
    audio = Fields(
        "audio_common_msgs/msg/Audio",
        {
            "audio_data": Fields("audio_common_msgs/msg/AudioData", {"int16_data": pcm.reshape(-1)}),
            "info": Fields(AUDIO_INFO, info),
        },
    )
    return Fields(AUDIO_STAMPED, {"header": head, "audio": audio})


def audio_info_fields(rate_hz: int, channels: int) -> Fields:
    """ros-drivers' `AudioInfo` for what `audio_fields` makes."""
    return Fields(
        AUDIO_INFO,
        {
            "channels": channels,
            "sample_rate": rate_hz,
            "sample_format": "S16LE",
            "bitrate": rate_hz * channels * 16,
            "coding_format": "wave",
        },
    )
