"""CDR bytes and type hashes against the specification and rosbags, whose bytes equal those of ROS 2."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rosbags", reason="needs stream-avs[dds]: rosbags")

from rosbags.rosbag2 import Reader, StoragePlugin, Writer

from stream_avs.calibration.camera_info import CameraInfo
from stream_avs.errors import WireError
from stream_avs.ros2.audio_fields import AudioKind, audio_fields, audio_info_fields
from stream_avs.ros2.audio_input import format_of, sound_of
from stream_avs.ros2.camera_info import camera_info_fields
from stream_avs.ros2.dds.store import Store
from stream_avs.ros2.diagnostics import WARN, Status, diagnostics_fields
from stream_avs.ros2.fields import IMAGE, Fields, Header, header_of
from stream_avs.ros2.image_fields import image_fields, label_info_fields, png_fields
from stream_avs.ros2.image_input import image_to_rgb

STORE = Store()
HEADER = Header(stamp_ns=1_700_000_000_123_456_789, frame_id="cam")

KNOWN_HASHES = {
    "std_msgs/msg/String": "RIHS01_df668c740482bbd48fb39d76a70dfd4bd59db1288021743503259e948f6b1a18",
    "sensor_msgs/msg/Image": "RIHS01_d31d41a9a4c4bc8eae9be757b0beed306564f7526c88ea6a4588fb9582527d47",
}
"""As ROS 2 Jazzy prints them: `ros2 topic info --verbose`."""


def aligned(data: bytes, to: int) -> bytes:
    """Pad to a multiple of `to`, counted from the end of the 4-byte encapsulation header."""
    return data + b"\0" * (-(len(data) - 4) % to)


def cdr_string(data: bytes, text: str) -> bytes:
    return aligned(data, 4) + struct.pack("<I", len(text) + 1) + text.encode() + b"\0"


def test_an_image_is_encoded_as_the_specification_says() -> None:
    """OMG CDR 1, little-endian: natural alignment, strings with length and zero byte."""
    mask = np.arange(15, dtype=np.uint8).reshape(3, 5)
    expected = b"\0\1\0\0" + struct.pack("<iI", 1_700_000_000, 123_456_789)
    expected = cdr_string(expected, "cam")
    expected = aligned(expected, 4) + struct.pack("<II", 3, 5)
    expected = cdr_string(expected, "mono8") + b"\0"
    expected = aligned(expected, 4) + struct.pack("<II", 5, 15) + mask.tobytes()
    assert STORE.encode(image_fields(mask, "mono8", HEADER)) == expected


@pytest.mark.parametrize("name", KNOWN_HASHES)
def test_type_hashes_are_those_of_ros(name: str) -> None:
    assert STORE.type_hash(name) == KNOWN_HASHES[name]


@settings(max_examples=50)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**31 * 10**9 - 1), st.text(max_size=20))
def test_images_come_back(height: int, width: int, stamp_ns: int, frame_id: str) -> None:
    header = Header(stamp_ns=stamp_ns, frame_id=frame_id.replace("\0", ""))
    rgb = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    message = STORE.decode(STORE.encode(image_fields(rgb, "rgb8", header)), IMAGE)
    assert header_of(message) == header
    np.testing.assert_array_equal(image_to_rgb(message), rgb)


CALIBRATION = CameraInfo(
    camera_name="front", width_px=640, height_px=480, distortion_model="plumb_bob",
    distortion=(0.1, -0.2, 0, 0, 0.01), camera_matrix=(500, 0, 320, 0, 500, 240, 0, 0, 1),
    projection=(500, 0, 320, 0, 0, 500, 240, 0, 0, 0, 1, 0),
)  # fmt: skip
STATUS = Status(level=WARN, name="segmenter: masks", message="late", values={"age, ms": "600"})
MASK = np.zeros((8, 8), np.uint8)


@pytest.mark.parametrize(
    "fields",
    [
        png_fields(MASK, HEADER),
        image_fields(MASK.astype(np.float32), "32FC1", HEADER),
        label_info_fields({1: "person", 254: "dog"}, 0.5, HEADER),
        diagnostics_fields((STATUS, STATUS), "box", HEADER),
        camera_info_fields(CALIBRATION, HEADER),
    ],
    ids=lambda fields: fields.type,
)
def test_every_message_we_send_is_whole(fields: Fields) -> None:
    """Encoding fails on a missing, misspelt or wrongly typed field; the bytes must be stable."""
    data = STORE.encode(fields)
    message = STORE.decode(data, fields.type)
    assert bytes(STORE.types.serialize_cdr(message, fields.type)) == data


@pytest.mark.parametrize("kind", AudioKind)
def test_sound_of_every_package_comes_back(kind: AudioKind) -> None:
    store = Store(kind)
    samples = np.random.default_rng(0).uniform(-1, 1, (320, 2)).astype(np.float32)
    fields = audio_fields(kind, samples, 16000, HEADER)
    message = store.decode(store.encode(fields), fields.type)
    info = None
    if kind is AudioKind.ROS_DRIVERS:
        info_fields = audio_info_fields(16000, 2)
        info = format_of(store.decode(store.encode(info_fields), info_fields.type))
    np.testing.assert_allclose(sound_of(message, info).samples, samples, atol=2 / 32767)


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_a_message(data: bytes) -> None:
    try:
        STORE.decode(data, IMAGE)
    except WireError:
        return


@pytest.mark.parametrize("plugin", [StoragePlugin.MCAP, StoragePlugin.SQLITE3], ids=["mcap", "sqlite3"])
def test_a_bag_of_our_messages_is_read_back(tmp_path: Path, plugin: StoragePlugin) -> None:
    sent = [
        image_fields(np.full((4, 6), k, np.uint8), "mono8", Header(stamp_ns=k, frame_id="c"))
        for k in range(5)
    ]
    with Writer(tmp_path / "bag", version=9, storage_plugin=plugin) as bag:
        connection = bag.add_connection("/segmenter/mask", IMAGE, typestore=STORE.types)
        for k, fields in enumerate(sent):
            bag.write(connection, k, STORE.encode(fields))
    with Reader(tmp_path / "bag") as bag:
        (connection,) = bag.connections
        assert connection.digest == STORE.type_hash(IMAGE)
        found = [STORE.decode(data, IMAGE) for _, _, data in bag.messages()]
    assert [header_of(m).stamp_ns for m in found] == list(range(5))
    assert [int(m.data[0]) for m in found] == list(range(5))
