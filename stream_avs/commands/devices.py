"""`stream-avs devices`: the cameras and microphones of this machine."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from stream_avs.capture.camera import CameraInfo, list_cameras
from stream_avs.capture.microphone import MicrophoneInfo, list_microphones
from stream_avs.commands.arguments import parse_arguments
from stream_avs.config import MicrophoneBackend
from stream_avs.errors import MissingPackageError

DESCRIPTION = "List the cameras and microphones that `stream-avs run` can use."


@dataclass(frozen=True, kw_only=True)
class DevicesConfig:
    """What to list, and how."""

    json: bool = False
    """Print JSON, for programs."""
    backend: MicrophoneBackend = MicrophoneBackend.AUTO
    """Library that looks for microphones."""


def run(argv: list[str]) -> int:
    """Print the devices; returns the exit code, 0 also when there are none."""
    config = parse_arguments(DevicesConfig, "devices", argv, DESCRIPTION)
    notes = []
    cameras: list[CameraInfo] = []
    microphones: list[MicrophoneInfo] = []
    try:
        cameras = list_cameras()
    except MissingPackageError as error:
        notes.append(f"cameras cannot be listed: {error}")
    try:
        microphones = list_microphones(config.backend)
    except MissingPackageError as error:
        notes.append(f"microphones cannot be listed: {error}")
    if config.json:
        found = {
            "cameras": [asdict(camera) for camera in cameras],
            "microphones": [asdict(microphone) for microphone in microphones],
            "notes": notes,
        }
        print(json.dumps(found, indent=2))
    else:
        print("\n".join([*_cameras(cameras), "", *_microphones(microphones), *_notes(notes)]))
    return 0


def _cameras(cameras: list[CameraInfo]) -> list[str]:
    if not cameras:
        return ["cameras: none found; plug one in (on Linux, /dev/video* must be readable: group video)"]
    lines = ["cameras: use as `--source camera:INDEX`"]
    for c in cameras:
        size = f"{c.width_px}x{c.height_px}" if c.width_px else ""
        remarks = "  ".join(part for part in (c.path, size, c.note) if part)
        lines.append(f"  {c.index:>3}  {c.name}  {remarks}".rstrip())
    return lines


def _microphones(microphones: list[MicrophoneInfo]) -> list[str]:
    if not microphones:
        return ["microphones: none found; plug one in"]
    lines = ["microphones: use as `--microphone.device INDEX` or a part of the name; * is the default"]
    for m in microphones:
        mark = "*" if m.is_default else " "
        lines.append(f" {mark}{m.index:>3}  {m.name}  {m.channels} ch  {m.default_rate_hz} Hz  {m.host_api}")
    return lines


def _notes(notes: list[str]) -> list[str]:
    return ["", *notes] if notes else []
