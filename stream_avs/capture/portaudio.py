"""What the microphone needs of an audio library, and the choice between the two that offer it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from stream_avs.config import MicrophoneBackend
from stream_avs.errors import MissingPackageError, SourceError
from stream_avs.types import Samples

OnBlock = Callable[[Samples, float, float, bool], None]
"""Called by the library's own thread with float32 [n, channels], the ADC time of the first sample
and the present time of the stream's clock in seconds, and whether the driver flags a loss."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MicrophoneInfo:
    """One device that records.

    Attributes:
        index: PortAudio's number.
        name: PortAudio's name.
        channels: the most it records.
        default_rate_hz: the rate it prefers.
        host_api: e.g. "ALSA", "Core Audio", "Windows WASAPI".
        is_default: it is the system's default microphone.
    """

    index: int
    name: str
    channels: int
    default_rate_hz: int
    host_api: str
    is_default: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """How a microphone is opened; `block` is in samples per channel."""

    rate_hz: int
    channels: int
    block: int
    latency_s: float


class InputStream(Protocol):
    """A device that is open."""

    def start(self) -> None:
        """Let blocks come."""

    def close(self) -> None:
        """Stop and free the device; may hang while the device does."""


class AudioLibrary(Protocol):
    """One way to PortAudio."""

    name: str

    def devices(self) -> list[MicrophoneInfo]:
        """The devices that record."""

    def open(self, device: MicrophoneInfo, form: Format, on_block: OnBlock) -> InputStream:
        """Open a device; raises SourceError when it does not take the format."""

    def refresh(self) -> None:
        """Look for devices anew, unless a stream is open: that would kill it."""


def load_library(backend: MicrophoneBackend) -> AudioLibrary:
    """Return the library asked for; `auto` takes sounddevice, or pyaudio when that is missing.

    Raises:
        MissingPackageError: it, or the PortAudio library under it, is not installed.
    """
    from stream_avs.capture.portaudio_pyaudio import PyAudioLibrary
    from stream_avs.capture.portaudio_sounddevice import SounddeviceLibrary

    if backend is MicrophoneBackend.PYAUDIO:
        return PyAudioLibrary()
    try:
        return SounddeviceLibrary()
    except MissingPackageError as missing:
        if backend is MicrophoneBackend.SOUNDDEVICE:
            raise
        try:
            return PyAudioLibrary()
        except MissingPackageError:
            raise missing from None


def pick_microphone(devices: Sequence[MicrophoneInfo], wanted: str) -> MicrophoneInfo:
    """Choose by index, by exact name, or by a part of the name (any case) that only one device has.

    Args:
        devices: what there is.
        wanted: index, name or part of a name; "" for the default device.

    Raises:
        SourceError: none fits, or several; the message lists the devices.
    """
    if not devices:
        raise SourceError("no microphone was found", "Plug one in; `stream-avs devices` lists them")
    if re.fullmatch(r"\d+", wanted):
        fitting = [d for d in devices if d.index == int(wanted)]
    elif wanted:
        fitting = [d for d in devices if d.name == wanted]
        fitting = fitting or [d for d in devices if wanted.lower() in d.name.lower()]
    else:
        fitting = [d for d in devices if d.is_default] or list(devices)
    if len(fitting) == 1:
        return fitting[0]
    listed = ", ".join(f"{d.index} ({d.name}, {d.host_api})" for d in fitting or devices)
    if not wanted:
        raise SourceError("there is no default microphone", f"Give --microphone.device, one of: {listed}")
    if fitting:
        raise SourceError(f"microphone {wanted!r} is ambiguous", f"Give an index, one of: {listed}")
    raise SourceError(f"there is no microphone {wanted!r}", f"Microphones here: {listed}")
