"""ROS messages as DDS delivers them: bytes to fields, fields to pictures and samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from fuzzing import KIB, MIB, Target, small_pictures

from stream_avs.errors import WireError
from stream_avs.publish.png import encode_png
from stream_avs.ros2.audio_fields import (
    AUDIO_DATA_STAMPED,
    AUDIO_INFO,
    TYPES,
    AudioKind,
    audio_fields,
    audio_info_fields,
)
from stream_avs.ros2.audio_input import AudioFormat, format_of, sound_of
from stream_avs.ros2.camera_info import camera_info_fields, camera_info_for_mask
from stream_avs.ros2.dds.store import Store
from stream_avs.ros2.fields import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, LABEL_INFO, Header, header_of
from stream_avs.ros2.image_fields import compressed_fields, image_fields, label_info_fields
from stream_avs.ros2.image_input import ENCODINGS, compressed_to_rgb, image_to_rgb
from stream_avs.ros2.overlay import class_ids

HEADER = Header(stamp_ns=5_000_000_000, frame_id="camera")
STORES = {kind: Store(kind) for kind in AudioKind}
STORE = STORES[AudioKind.ROS_DRIVERS]
FORMAT = AudioFormat(sample_rate_hz=16_000, channels=2, sample_format="S16LE")
SAMPLES = np.linspace(-1, 1, 8, dtype=np.float32).reshape(4, 2)


def _decoder(type_name: str, use: Callable[[Any], object], store: Store = STORE) -> Callable[[bytes], object]:
    def decode(data: bytes) -> object:
        message = store.decode(data, type_name)
        used = use(message)
        return header_of(message) if hasattr(message, "header") else None, used

    return decode


def _image(message: Any) -> object:
    """As picture and as mask."""
    if message.encoding in ("mono8", "8UC1"):
        return class_ids(message)
    return image_to_rgb(message)


def _images() -> list[bytes]:
    grey = np.arange(24, dtype=np.uint8).reshape(4, 6)
    seeds = [image_fields(grey, "mono8", HEADER), image_fields(np.dstack([grey] * 3), "rgb8", HEADER)]
    wide = np.resize(grey, (6, 6, 8))
    seeds += [
        image_fields(wide, encoding, HEADER) for encoding in ENCODINGS if encoding not in ("mono8", "rgb8")
    ]
    return [STORE.encode(fields) for fields in seeds]


def _compressed() -> list[bytes]:
    png = encode_png(np.arange(24, dtype=np.uint8).reshape(4, 6))
    return [
        STORE.encode(compressed_fields(png, "png", HEADER)),
        STORE.encode(compressed_fields(b"", "", HEADER)),
    ]


def _small(message: Any) -> object:
    with small_pictures():
        return compressed_to_rgb(message)


def _labels(message: Any) -> object:
    return {int(c.class_id): str(c.class_name) for c in message.class_map}


def _camera_info(message: Any) -> object:
    try:
        return camera_info_for_mask(message, (2.0, 0.0, 0.5, 0.0, 2.0, 0.5), (160, 120), HEADER)
    except ValueError as error:
        raise WireError(str(error)) from None


def _camera_infos() -> list[bytes]:
    from target_settings import INFO

    return [STORE.encode(camera_info_fields(INFO, HEADER))]


def _sounds(kind: AudioKind) -> list[bytes]:
    return [STORES[kind].encode(audio_fields(kind, SAMPLES, 16_000, HEADER))]


TARGETS = (
    Target(name="ros-image", decode=_decoder(IMAGE, _image), seeds=_images, constant_bytes=MIB),
    Target(
        name="ros-compressed", decode=_decoder(COMPRESSED_IMAGE, _small), seeds=_compressed,
        max_bytes=KIB, constant_bytes=800 * MIB,
    ),
    Target(
        name="ros-labels", decode=_decoder(LABEL_INFO, _labels), multiple=32,
        seeds=lambda: [STORE.encode(label_info_fields({1: "dog", 2: "cat"}, 0.5, HEADER))],
    ),
    Target(name="ros-camera-info", decode=_decoder(CAMERA_INFO, _camera_info), seeds=_camera_infos),
    Target(
        name="ros-audio-info", decode=_decoder(AUDIO_INFO, format_of),
        seeds=lambda: [STORE.encode(audio_info_fields(16_000, 2))],
    ),
    Target(
        name="ros-audio-drivers", decode=_decoder(AUDIO_DATA_STAMPED, lambda m: sound_of(m, FORMAT)),
        seeds=lambda: _sounds(AudioKind.ROS_DRIVERS), max_bytes=KIB,
    ),
    *(
        Target(
            name=f"ros-audio-{kind.value.replace('_', '-')}", seeds=lambda kind=kind: _sounds(kind),
            decode=_decoder(TYPES[kind], sound_of, STORES[kind]), max_bytes=KIB,
        )
        for kind in (AudioKind.MGONZS13, AudioKind.AUDIO_UTILS)
    ),
)  # fmt: skip
