"""The link's messages: header, pictures, sound, and what becomes of a sender's times."""

from __future__ import annotations

from typing import Any

import numpy as np
from fuzzing import KIB, MIB, Target, small_pictures

from stream_avs.ledger import Ledger
from stream_avs.link import header as link_header
from stream_avs.link import payload
from stream_avs.link.header import AudioHeader, EndHeader, FrameHeader, decode_header, encode_header
from stream_avs.link.host_clock import HostClock
from stream_avs.types import StampSource

COMMON: dict[str, Any] = {
    "v": link_header.VERSION, "session": "s1", "host": "h1", "sent_ns": 10**12, "epoch": 0,
    "epoch_reason": "start", "audio_ended": False,
}  # fmt: skip
SIDE_PX = 16


def frame_header(encoding: str = "jpeg", **changes: Any) -> FrameHeader:
    """Header of a small frame."""
    values = {
        **COMMON, "seq": 3, "stamp_ns": 10**12 - 1, "arrival_ns": 10**12, "stamp_source": StampSource.DRIVER,
        "frame_id": "camera", "encoding": encoding, "width_px": SIDE_PX, "height_px": SIDE_PX,
    }  # fmt: skip
    return FrameHeader(**{**values, **changes})


def audio_header(samples: int = 4, channels: int = 2) -> AudioHeader:
    """Header of a short block."""
    return AudioHeader(
        **COMMON, stamp_ns=10**12, stamp_source=StampSource.DRIVER, sample_rate_hz=16_000,
        channels=channels, samples=samples,
    )  # fmt: skip


def picture() -> np.ndarray:
    """A small picture, uint8 [16, 16, 3]."""
    return np.arange(SIDE_PX * SIDE_PX * 3, dtype=np.uint8).reshape(SIDE_PX, SIDE_PX, 3)


def _headers() -> list[bytes]:
    ended = EndHeader(**COMMON, error="camera unplugged")
    return [encode_header(h) for h in (frame_header(), frame_header("rgb8"), audio_header(), ended)]


def _frame(data: bytes) -> object:
    """The first byte chooses raw or JPEG, and the width."""
    head = data[0] if data else 0
    header = frame_header("rgb8" if head & 1 else "jpeg", width_px=(head >> 1) or 1)
    with small_pictures():
        return payload.decode_frame(header, data[1:])


def _frame_seeds() -> list[bytes]:
    jpeg = bytes(payload.encode_frame(picture(), 60)[1])
    return [bytes([2 * SIDE_PX]) + jpeg, bytes([2 * SIDE_PX + 1]) + picture().tobytes(), b"\x20" + jpeg[:80]]


def _audio(data: bytes) -> object:
    head = data[:2].ljust(2, b"\1")
    return payload.decode_audio(audio_header(samples=head[0], channels=head[1] % 64 + 1), data[2:])


def _clock(data: bytes) -> object:
    """Headers in a row, each behind a quarter of its length: their times must fit where rings keep them."""
    clocks: dict[str, HostClock] = {}
    now_ns = 10**15
    while data:
        length = 4 * data[0]
        header, data = decode_header(data[1 : 1 + length].rstrip(b"\0")), data[1 + length :]
        now_ns += 10**7
        clock = clocks.setdefault(header.session, HostClock(header.host, Ledger(), own_host="h0"))
        clock.observe(header.sent_ns, now_ns)
        np.int64(clock.to_ours_ns(getattr(header, "stamp_ns", 0)))
    return clocks


def _clock_seeds() -> list[bytes]:
    def pad(header: bytes) -> bytes:
        padded = header.ljust(-(-len(header) // 4) * 4, b"\0")
        return bytes([len(padded) // 4]) + padded

    frames = [encode_header(frame_header(seq=k, sent_ns=10**12 + k, stamp_ns=2**60)) for k in range(3)]
    return [b"".join(map(pad, frames)), b"".join(map(pad, [*frames[:1], encode_header(audio_header())]))]


TARGETS = (
    Target(name="link-header", decode=decode_header, seeds=_headers, form="msgpack"),
    Target(name="link-frame", decode=_frame, seeds=_frame_seeds, max_bytes=2 * KIB, constant_bytes=MIB),
    Target(
        name="link-audio", decode=_audio, max_bytes=KIB,
        seeds=lambda: [b"\4\1" + bytes(16), b"\0\0", b"\2\2" + bytes(12)],
    ),
    Target(name="link-clock", decode=_clock, seeds=_clock_seeds, max_bytes=KIB),
)  # fmt: skip
