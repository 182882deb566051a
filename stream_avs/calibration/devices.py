"""Sources for calibration: a camera alone, a microphone alone, and what they are called."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from stream_avs.calibration.exposure import Exposure, read_exposure
from stream_avs.capture.base import Source, SourceInfo
from stream_avs.capture.camera import Camera
from stream_avs.capture.microphone import Microphone
from stream_avs.capture.open_source import make_source
from stream_avs.capture.portaudio import load_library, pick_microphone
from stream_avs.config import (
    CameraConfig,
    MediaConfig,
    MicrophoneConfig,
    Pace,
    RunConfig,
    SyntheticConfig,
)

CAMERA = re.compile(r"(webcam)|camera:(\d+)|/dev/video(\d+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """What to read from, with the settings of each kind of source.

    Attributes:
        source: as for `stream-avs run`.
    """

    source: str
    camera: CameraConfig
    microphone: MicrophoneConfig
    media: MediaConfig
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceNames:
    """What the calibration file says of the devices; see `AvCalib`."""

    camera: str
    microphone: str
    audio_host_api: str


def camera_index(source: str) -> int | None:
    """The number of the camera that a source names, or None if it names something else."""
    match = CAMERA.fullmatch(source)
    if match is None:
        return None
    return int(match.group(2) or match.group(3) or 0)


def both(inputs: Inputs) -> Source:
    """Pictures and sound; files are read as fast as they can be."""
    return make_source(
        RunConfig(
            source=inputs.source,
            camera=inputs.camera,
            microphone=inputs.microphone,
            media=replace(inputs.media, pace=Pace.FAST, loop=False),
            synthetic=inputs.synthetic,
        )
    )


def pictures_only(inputs: Inputs) -> Source:
    """Pictures; a camera is opened without a microphone."""
    index = camera_index(inputs.source)
    return both(inputs) if index is None else Camera(index, inputs.camera)


def sound_only(inputs: Inputs) -> Source:
    """Sound; "microphone" is opened without a camera."""
    return Microphone(inputs.microphone) if inputs.source == "microphone" else both(inputs)


def device_names(inputs: Inputs, info: SourceInfo) -> DeviceNames:
    """Name the devices of an opened source for the calibration file."""
    if camera_index(inputs.source) is None:
        return DeviceNames(camera=info.name, microphone=info.name, audio_host_api="none: one source")
    library = load_library(inputs.microphone.backend)
    device = pick_microphone(library.devices(), inputs.microphone.device)
    camera = info.name.partition(" and microphone ")[0]
    return DeviceNames(
        camera=camera, microphone=device.name, audio_host_api=f"{device.host_api} ({library.name})"
    )


def exposure_of(inputs: Inputs) -> Exposure | None:
    """What the camera says of its exposure, if the source is a V4L2 camera."""
    index = camera_index(inputs.source)
    return None if index is None else read_exposure(Path(f"/dev/video{index}"))
