"""From the text a user gives as source to the source itself."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from stream_avs.capture.address import SCHEMES, redact, scheme_of
from stream_avs.capture.base import Source
from stream_avs.capture.camera import Camera
from stream_avs.capture.composite import Composite
from stream_avs.capture.media import Media
from stream_avs.capture.microphone import Microphone
from stream_avs.capture.synthetic import Synthetic
from stream_avs.config import RunConfig
from stream_avs.errors import SourceError, nearest

FORMS = (
    "webcam, camera:N, /dev/videoN, synthetic, a file, a recording (.mcap),"
    " rtsp://, udp://, tcp:// or http:// address"
)


def make_source(config: RunConfig) -> Source:
    """Build the source that `config.source` names; nothing is opened yet.

    "webcam" is camera 0 with a microphone; "camera:N" and "/dev/videoN" another camera with a
    microphone; "synthetic" the test scene; anything with "://" a network stream; a file or folder of
    files *.mcap a recording; all else a file.

    Raises:
        SourceError: the text is none of these; the message holds the nearest valid form.
    """
    source = config.source
    frame_id = config.camera.frame_id
    if source == "webcam":
        return _camera(0, config)
    if source == "synthetic":
        return Synthetic(config.synthetic, frame_id=frame_id)
    if match := re.fullmatch(r"camera:(\d+)", source):
        return _camera(int(match.group(1)), config)
    if re.fullmatch(r"/dev/video\d+", source):
        return _camera(source, config)
    if scheme := scheme_of(source):
        if scheme not in SCHEMES:
            raise SourceError(
                f"cannot read {redact(source)}: unknown scheme {scheme!r}", nearest(scheme, SCHEMES)
            )
        return Media(source, config.media, config.reconnect, frame_id=frame_id)
    if is_recording(Path(source)):
        # Imported here: the package mcap is needed for recordings only.
        from stream_avs.capture.replay import Replay

        return Replay(source, config.media)
    if Path(source).exists():
        return Media(source, config.media, frame_id=frame_id)
    raise SourceError(f"source {redact(source)!r} is no file and no device", _suggestion(source))


def is_recording(path: Path) -> bool:
    """True for an MCAP file, or a folder of them as a ring recording saves it."""
    return (path.suffix == ".mcap" and path.is_file()) or (path.is_dir() and any(path.glob("*.mcap")))


def _camera(device: int | str, config: RunConfig) -> Composite:
    return Composite(
        Camera(device, config.camera, config.reconnect), Microphone(config.microphone, config.reconnect)
    )


def _suggestion(source: str) -> str:
    if source.isdigit():
        return f"Did you mean 'camera:{source}'?"
    words = difflib.get_close_matches(source, ("webcam", "synthetic", "camera:0"), n=1, cutoff=0.7)
    if words:
        return f"Did you mean '{words[0]}'?"
    path = Path(source)
    if path.parent.is_dir():
        names = [entry.name for entry in path.parent.iterdir()]
        files = difflib.get_close_matches(path.name, names, n=1, cutoff=0.7)
        if files:
            return f"Did you mean the file '{path.parent / files[0]}'?"
    return f"Give one of: {FORMS}"
