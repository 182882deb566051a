"""Received audio messages to float samples, whatever package they are of.

ROS 2 has no standard audio message, and two packages that do not fit together share the name
`audio_common_msgs`. So the fields decide, not the type name:

    audio_utils       AudioFrame{header, format, channel_count, sampling_frequency, data}
    mgonzs13          AudioStamped{header, audio{audio_data{int16_data, ...}, info{channels, rate}}}
    ros-drivers       AudioDataStamped{header, audio{data}} beside a topic with
                      AudioInfo{channels, sample_rate, sample_format, coding_format}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_avs.errors import WireError, nearest
from stream_avs.types import Samples

MAX_CHANNELS = 64
RATES_HZ = (4_000, 384_000)


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioFormat:
    """How the bytes of ros-drivers audio are to be read.

    Attributes:
        sample_rate_hz: samples per second and channel.
        channels: interleaved.
        sample_format: GStreamer name, e.g. "S16LE".
    """

    sample_rate_hz: int
    channels: int
    sample_format: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sound:
    """Samples of one message: float32 [n, channels] in [-1, 1], and their rate."""

    samples: Samples
    sample_rate_hz: int


_PCM = {
    "S8": "i1", "U8": "u1", "S16LE": "<i2", "U16LE": "<u2", "S16BE": ">i2", "U16BE": ">u2",
    "S24LE": "s24", "U24LE": "u24", "S24_32LE": "s24in32", "U24_32LE": "u24in32",
    "S32LE": "<i4", "U32LE": "<u4", "F32LE": "<f4", "F64LE": "<f8",
}  # fmt: skip
"""GStreamer's names of raw audio formats."""

_AUDIO_UTILS = {
    "signed_8": "S8", "signed_16": "S16LE", "signed_24": "S24LE", "signed_padded_24": "S24_32LE",
    "signed_32": "S32LE", "unsigned_8": "U8", "unsigned_16": "U16LE", "unsigned_24": "U24LE",
    "unsigned_padded_24": "U24_32LE", "unsigned_32": "U32LE", "float": "F32LE", "double": "F64LE",
}  # fmt: skip

_TYPED_FIELDS = {
    "float32_data": 1.0, "int32_data": 2.0**31, "int24_data": 2.0**23,
    "int16_data": 2.0**15, "int8_data": 2.0**7,
}  # fmt: skip
"""Fields of mgonzs13's AudioData and the value of full scale; `uint8_data` is centred at 128."""


def needs_info(message: Any) -> bool:
    """True if the message does not say how its bytes are to be read (ros-drivers)."""
    return not hasattr(message, "sampling_frequency") and not _has_typed_data(message)


def format_of(info: Any) -> AudioFormat:
    """Read ros-drivers' `AudioInfo`.

    Raises:
        WireError: compressed audio, an unknown sample format, or a rate that cannot be.
    """
    coding = str(info.coding_format).lower()
    if coding not in ("", "wave", "raw", "pcm"):
        raise WireError(
            f"audio is coded as {coding!r}, which is not read",
            "Start audio_capture with parameter format:=wave",
        )
    sample_format = str(info.sample_format).upper()
    if sample_format not in _PCM:
        raise WireError(f"audio has sample format {sample_format!r}", nearest(sample_format, _PCM))
    rate_hz, channels = _checked(int(info.sample_rate), int(info.channels))
    return AudioFormat(sample_rate_hz=rate_hz, channels=channels, sample_format=sample_format)


def sound_of(message: Any, info: AudioFormat | None = None) -> Sound:
    """Read the samples of any audio message named above.

    Args:
        message: as received.
        info: what the info topic said; needed where `needs_info`.

    Raises:
        WireError: no such message, not decodable, or `info` is missing.
    """
    if hasattr(message, "sampling_frequency"):
        return _from_audio_utils(message)
    if _has_typed_data(message):
        return _from_typed(message.audio)
    data = getattr(getattr(message, "audio", message), "data", None)
    if data is None:
        raise WireError(
            f"message of type {type(message).__name__} is no audio",
            "Expected audio_utils AudioFrame, or AudioStamped or AudioDataStamped of audio_common_msgs",
        )
    if info is None:
        raise WireError(
            "audio came before its format is known", "Is the topic audio_info published and remapped?"
        )
    return Sound(
        samples=pcm_to_float(data, info.sample_format, info.channels), sample_rate_hz=info.sample_rate_hz
    )


def pcm_to_float(data: Any, sample_format: str, channels: int) -> Samples:
    """Interleaved PCM bytes as float32 [n, channels] in [-1, 1].

    Args:
        data: bytes or an array of uint8.
        sample_format: GStreamer name, e.g. "S16LE".
        channels: interleaved.

    Raises:
        WireError: an unknown format, or not a whole number of samples.
    """
    if sample_format not in _PCM:
        raise WireError(f"audio has sample format {sample_format!r}", nearest(sample_format, _PCM))
    raw = np.frombuffer(data, np.uint8)
    kind = _PCM[sample_format]
    width = 3 if kind in ("s24", "u24") else 4 if kind.endswith("in32") else np.dtype(kind).itemsize
    if raw.size % (width * channels):
        raise WireError(f"audio of {raw.size} bytes is not whole samples of {channels} x {width} bytes")
    return _scaled(raw, kind).reshape(-1, channels)


def _scaled(raw: NDArray[np.uint8], kind: str) -> Samples:
    if "24" in kind:
        if kind.endswith("in32"):
            raw = raw.reshape(-1, 4)[:, :3].reshape(-1)
        # Into the upper three bytes of an int32, whose sign is then theirs.
        wide = np.zeros((raw.size // 3, 4), np.uint8)
        wide[:, 1:] = raw.reshape(-1, 3)
        values = wide.view("<i4").reshape(-1)
        if kind[0] == "u":
            values = values ^ np.int32(-(2**31))
        return (values / np.float64(2**31)).astype(np.float32)
    dtype: np.dtype[Any] = np.dtype(kind)
    values = raw.view(dtype)
    if dtype.kind == "f":
        finite = np.nan_to_num(values, nan=0.0, posinf=1.0, neginf=-1.0)
        return np.asarray(np.clip(finite, -1, 1), np.float32)
    full = 2.0 ** (8 * dtype.itemsize - 1)
    centre = full if dtype.kind == "u" else 0.0
    scaled: Samples = ((values.astype(np.float64) - centre) / full).astype(np.float32)
    return scaled


def _has_typed_data(message: Any) -> bool:
    return hasattr(getattr(message, "audio", None), "audio_data")


def _from_audio_utils(message: Any) -> Sound:
    name = str(message.format)
    if name not in _AUDIO_UTILS:
        raise WireError(f"audio has format {name!r}", nearest(name, _AUDIO_UTILS))
    rate_hz, channels = _checked(int(message.sampling_frequency), int(message.channel_count))
    return Sound(samples=pcm_to_float(message.data, _AUDIO_UTILS[name], channels), sample_rate_hz=rate_hz)


def _from_typed(audio: Any) -> Sound:
    rate_hz, channels = _checked(int(audio.info.rate), int(audio.info.channels))
    values = _typed_values(audio.audio_data)
    if values.size % channels:
        raise WireError(f"audio of {values.size} samples is not whole for {channels} channels")
    return Sound(samples=values.reshape(-1, channels), sample_rate_hz=rate_hz)


def _typed_values(data: Any) -> Samples:
    for name, full in _TYPED_FIELDS.items():
        values = np.asarray(getattr(data, name, ()), np.float64)
        if values.size:
            return np.clip(np.nan_to_num(values) / full, -1, 1).astype(np.float32)
    values = np.asarray(getattr(data, "uint8_data", ()), np.float64)
    return ((values - 128) / 128).astype(np.float32)


def _checked(rate_hz: int, channels: int) -> tuple[int, int]:
    low, high = RATES_HZ
    if not low <= rate_hz <= high or not 1 <= channels <= MAX_CHANNELS:
        raise WireError(
            f"audio is {channels} channels at {rate_hz} Hz",
            f"Expected 1..{MAX_CHANNELS} channels at {low}..{high} Hz",
        )
    return rate_hz, channels
