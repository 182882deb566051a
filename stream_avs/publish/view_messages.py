"""Messages for the page, laid out as WIRE.md's profile "latest" with topics of their own; and its requests.

topic, zero byte, u32 little-endian header length, msgpack header with `payload_bytes`, payloads.
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec
import numpy as np

from stream_avs.errors import WireError, missing_package
from stream_avs.publish.sound_strip import BANDS, COLUMN_S, Columns
from stream_avs.types import NS_PER_S, Image

VERSION = 1
MAX_REQUEST_BYTES = 256


class Request(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """All a page may ask for, as JSON text."""

    pause: bool


_requests = msgspec.json.Decoder(Request)


def decode_request(text: str | bytes) -> Request:
    """Read a request of a page; allocates nothing that grows with it but the error's text.

    Raises:
        WireError: too large, or not such a request.
    """
    if len(text) > MAX_REQUEST_BYTES:
        raise WireError(f"request of a page has {len(text)} characters, the limit is {MAX_REQUEST_BYTES}")
    try:
        return _requests.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise WireError(f"request of a page is not understood: {error}") from None


def pack(topic: str, header: dict[str, Any], payload: bytes = b"") -> bytes:
    """Lay out one message; `v` and `payload_bytes` are added to the header."""
    sizes = [len(payload)] if payload else []
    data = msgspec.msgpack.encode({"v": VERSION, **header, "payload_bytes": sizes})
    return b"".join((topic.encode(), b"\0", struct.pack("<I", len(data)), data, payload))


def picture_message(stream: str, image: Image, stamp_ns: int, *, max_width_px: int, quality: int) -> bytes:
    """Write an RGB picture, uint8 [H, W, 3], as JPEG with its capture stamp.

    Raises:
        MissingPackageError: OpenCV is not installed.
        ValueError: the picture cannot be packed.
    """
    try:
        import cv2
    except ImportError:
        raise missing_package("OpenCV (cv2), which packs pictures,", "live") from None
    height_px, width_px = image.shape[:2]
    if width_px > max_width_px:
        size = (max_width_px, max(1, round(height_px * max_width_px / width_px)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"picture {image.shape} cannot be packed as JPEG")
    header = {"t_capture_ns": stamp_ns, "src_size": [width_px, height_px], "encoding": "jpeg"}
    return pack(f"picture/{stream}", header, bytes(data))


def sound_message(stream: str, columns: Columns) -> bytes:
    """Write columns of a sound strip."""
    header = {
        "t_end_ns": columns.end_ns,
        "column_ns": round(COLUMN_S * NS_PER_S),
        "bands": BANDS,
        "levels_dbfs": columns.levels_dbfs,
    }
    return pack(f"sound/{stream}", header, columns.bands.tobytes())


def status_message(unix_ns: int, streams: dict[str, dict[str, Any]], skipped: int) -> bytes:
    """Write what is known of the streams, and how many pictures this page was too slow for."""
    return pack("status/", {"t_unix_ns": unix_ns, "streams": streams, "skipped": skipped})
