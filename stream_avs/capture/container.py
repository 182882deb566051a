"""Containers and network streams opened with PyAV, their errors in one line, their frames as arrays."""

from __future__ import annotations

import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stream_avs.capture.address import HTTP_SCHEMES, redact, scheme_of
from stream_avs.config import MediaConfig
from stream_avs.errors import SourceError, missing_package
from stream_avs.types import NS_PER_S, Image, Samples

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

RTSP_OPTIONS = {
    # Measured on RTSP over TCP: default probing takes 1.3 s and hands 1.1 s of old data over in a
    # burst; with these it takes 0.4 s and there is no backlog.
    "fflags": "nobuffer",
    "flags": "low_delay",
    "probesize": "32768",
    "analyzeduration": "200000",
    "max_delay": "50000",
    "reorder_queue_size": "0",
}

TRANSPORT_STREAM_OPTIONS = {
    # Senders batch audio into packets up to 0.7 s apart: probing must last until one has come.
    "fflags": "nobuffer",
    "probesize": "1000000",
    "analyzeduration": "1500000",
    "max_delay": "50000",
}

TRANSPORT_STREAM_AGAIN = {
    # The tables of the stream, sent every 0.1 s, name its tracks; the decoders find out the rest.
    "analyzeduration": "300000",
}

UDP_OPTIONS = {
    # A burst beyond the socket buffer damages some frames (counted), it does not end the stream.
    "overrun_nonfatal": "1",
    "buffer_size": "1048576",
}

PROTOCOLS = {
    # What a source may open in turn: a playlist from the network opens no file of this machine, and a
    # file opens nothing on the network.
    "": "file,crypto,data",
    "http": "http,https,httpproxy,tls,tcp,crypto,data",
    "https": "http,https,httpproxy,tls,tcp,crypto,data",
    "rtsp": "rtsp,rtp,srtp,udp,tcp,tls,http,https,httpproxy",
    "rtsps": "rtsp,rtp,srtp,udp,tcp,tls,http,https,httpproxy",
    "udp": "udp",
    "tcp": "tcp",
}


class RefusedError(SourceError):
    """The server is there and does not let us in: asking it again and again may lock us out."""


def import_av() -> Any:
    """Return the `av` module; raises MissingPackageError when PyAV is not installed."""
    try:
        import av
    except ImportError:
        raise missing_package("av (PyAV)", "live") from None
    return av


def open_container(address: str, config: MediaConfig, *, again: bool = False) -> InputContainer:
    """Open a file or a network address.

    Args:
        address: file or network address.
        config: network settings.
        again: it was open before, so what it holds is known and need not be probed for long.

    Raises:
        SourceError: not there, refused, silent or not media; the message never holds credentials.
        MissingPackageError: PyAV is not installed.
    """
    av = import_av()
    scheme = scheme_of(address)
    if not scheme:
        _check_file(Path(address))
    options: dict[str, str] = {}
    if scheme in ("rtsp", "rtsps"):
        options = {**RTSP_OPTIONS, "rtsp_transport": config.rtsp_transport.value}
    elif scheme in ("udp", "tcp"):
        options = {**TRANSPORT_STREAM_OPTIONS, **(UDP_OPTIONS if scheme == "udp" else {})}
        options |= TRANSPORT_STREAM_AGAIN if again else {}
    options["protocol_whitelist"] = PROTOCOLS.get(scheme, scheme)
    begun_s = time.monotonic()
    timeout = (config.timeout_s, config.timeout_s) if scheme else None
    try:
        container: InputContainer = av.open(
            address, options=options, timeout=timeout, metadata_errors="ignore"
        )
    except (av.error.FFmpegError, OSError, ValueError) as error:
        # `from None`: the text of the original error holds the address with its password.
        late = bool(scheme) and time.monotonic() - begun_s >= config.timeout_s
        # Some protocols report their own error for a read that was broken off.
        raise source_error(address, TimeoutError() if late else error, config.timeout_s) from None
    return container


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise SourceError(f"{path} is a directory", "Give a media file inside it")
    if not path.exists():
        raise SourceError(f"file {path} does not exist", "Check the path")
    if not path.is_file():
        raise SourceError(f"{path} is not a regular file", "Give a media file or an address")
    if path.stat().st_size == 0:
        raise SourceError(f"file {path} is empty", "Give a media file with a video track")


def source_error(address: str, error: Exception, timeout_s: float) -> SourceError:
    """Turn what FFmpeg raised into one line with a next step."""
    av = import_av()
    name = redact(address)
    network = bool(scheme_of(address))
    errors = av.error
    if isinstance(error, (errors.ExitError, TimeoutError)):
        what = f"nothing arrived from {name} within {timeout_s:g} s"
        return SourceError(what, "Check the address and the sender, or raise --media.timeout-s")
    if isinstance(error, ConnectionRefusedError):
        return SourceError(
            f"{name} refuses the connection", "Check that the server runs and the port is right"
        )
    if isinstance(error, (errors.HTTPUnauthorizedError, errors.HTTPForbiddenError)):
        step = f"Put user and password into the address: {scheme_of(address)}://USER:PASSWORD@HOST/..."
        return RefusedError(f"{name} does not let us in", step)
    if isinstance(error, errors.HTTPNotFoundError):
        return SourceError(f"{name} does not exist on that server", "Check the path in the address")
    if isinstance(error, PermissionError):
        return SourceError(f"{name} may not be read", "Check its permissions")
    reason = getattr(error, "strerror", None) or type(error).__name__
    if network:
        step = "Check the host name, the port and the network"
        return SourceError(f"cannot open {name}: {reason}", step)
    step = f"Check that it plays elsewhere, e.g. with: ffprobe {name}"
    return SourceError(f"{name} cannot be read as media: {reason}", step)


def pick_tracks(container: InputContainer, name: str) -> tuple[VideoStream, AudioStream | None]:
    """Return the first video track that is not a cover picture, and the first audio track if any.

    Raises:
        SourceError: there is no video track.
    """
    av = import_av()
    cover = av.stream.Disposition.attached_pic
    video = [s for s in container.streams.video if not s.disposition & cover]
    if not video:
        raise SourceError(f"{name} has no video track", "Masks need pictures: give a source with video")
    audio = [s for s in container.streams.audio if s.codec_context is not None]
    return video[0], audio[0] if audio else None


def is_live(address: str, container: InputContainer) -> bool:
    """True unless the address is a file, here or behind HTTP (then its length is known)."""
    scheme = scheme_of(address)
    return bool(scheme) and not (scheme in HTTP_SCHEMES and container.duration is not None)


def to_ns(pts: int, time_base: Fraction) -> int:
    """Exact media time in ns of a stamp in units of `time_base`, rounded once."""
    return round(pts * time_base * NS_PER_S)


class PictureConverter:
    """Decoded frames to upright RGB; keeps its scaler between frames."""

    def __init__(self) -> None:
        self._reformatter = import_av().video.reformatter.VideoReformatter()

    def convert(self, frame: VideoFrame) -> Image:
        """Return uint8 [H, W, 3] RGB, turned as the display matrix says."""
        rgb = self._reformatter.reformat(frame, format="rgb24")
        image: Image = rgb.to_ndarray()
        quarter_turns = round(frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(image, quarter_turns)) if quarter_turns else image


def to_samples(frame: AudioFrame) -> Samples:
    """Return the samples of a decoded frame, float32 [n, channels] in [-1, 1]."""
    raw: NDArray[Any] = frame.to_ndarray()
    by_sample = raw.T if frame.format.is_planar else raw.reshape(-1, frame.layout.nb_channels)
    if by_sample.dtype.kind == "f":
        samples = by_sample.astype(np.float32)
    elif by_sample.dtype == np.uint8:
        samples = (by_sample.astype(np.float32) - 128.0) / 128.0
    else:
        samples = (by_sample / -float(np.iinfo(by_sample.dtype).min)).astype(np.float32)
    # Lossy codecs overshoot full scale a little.
    return np.clip(np.ascontiguousarray(samples), -1.0, 1.0)


def connection_errors() -> tuple[type[Exception], ...]:
    """What is raised when the file or the connection itself fails, unlike a damaged packet."""
    return (OSError, import_av().error.ExitError)
