"""Audio of the three packages, told apart by their fields alone."""

from __future__ import annotations

import array
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_messages import message, plain

from stream_avs.errors import WireError
from stream_avs.ros2.audio_fields import AudioKind, audio_fields, audio_info_fields, kind_of_type
from stream_avs.ros2.audio_input import format_of, needs_info, pcm_to_float, sound_of
from stream_avs.ros2.fields import Header

HEADER = Header(stamp_ns=7, frame_id="mic_link")


@given(
    st.sampled_from(AudioKind),
    st.integers(1, 4),
    st.integers(0, 200),
    st.sampled_from([8000, 16000, 44100, 48000]),
    st.integers(0, 2**32),
)
def test_what_is_sent_comes_back(kind: AudioKind, channels: int, n: int, rate_hz: int, seed: int) -> None:
    samples = np.random.default_rng(seed).uniform(-1, 1, (n, channels)).astype(np.float32)
    sent = plain(audio_fields(kind, samples, rate_hz, HEADER))
    assert needs_info(sent) == (kind is AudioKind.ROS_DRIVERS)
    info = format_of(plain(audio_info_fields(rate_hz, channels)))
    sound = sound_of(sent, info)
    assert sound.sample_rate_hz == rate_hz
    assert sound.samples.shape == (n, channels)
    np.testing.assert_allclose(sound.samples, samples, atol=2 / 32767)


FULL = {
    "S8": ("i1", 2**7, 0), "U8": ("u1", 2**7, 2**7), "S16LE": ("<i2", 2**15, 0),
    "S16BE": (">i2", 2**15, 0), "U16LE": ("<u2", 2**15, 2**15), "S32LE": ("<i4", 2**31, 0),
    "U32LE": ("<u4", 2**31, 2**31),
}  # fmt: skip


@pytest.mark.parametrize("sample_format", FULL)
def test_integer_formats_scale_to_full_scale(sample_format: str) -> None:
    dtype, full, centre = FULL[sample_format]
    values = np.array([-1.0, -0.5, 0.0, 0.5])
    raw = (values * full + centre).astype(np.int64).astype(dtype).tobytes()
    np.testing.assert_allclose(pcm_to_float(raw, sample_format, 1)[:, 0], values, atol=1e-6)


@pytest.mark.parametrize("sample_format", ["S24LE", "U24LE", "S24_32LE", "U24_32LE"])
def test_24_bits_scale_to_full_scale(sample_format: str) -> None:
    values = np.array([-1.0, -0.25, 0.0, 0.5])
    whole = (values * 2**23).astype(np.int64) + (2**23 if sample_format[0] == "U" else 0)
    width = 4 if sample_format.endswith("_32LE") else 3
    raw = b"".join(int(v).to_bytes(width, "little", signed=v < 0) for v in whole)
    np.testing.assert_allclose(pcm_to_float(raw, sample_format, 1)[:, 0], values, atol=1e-6)


def test_floats_are_made_finite_and_clipped() -> None:
    raw = np.array([0.5, np.nan, 3.0, -np.inf], "<f4").tobytes()
    np.testing.assert_array_equal(pcm_to_float(raw, "F32LE", 2), [[0.5, 0.0], [1.0, -1.0]])


@pytest.mark.parametrize(
    ("field", "code", "values"),
    [
        ("float32_data", "f", [0.5, -0.25]),
        ("int32_data", "i", [2**30, -(2**29)]),
        ("int24_data", "i", [2**22, -(2**21)]),
        ("int16_data", "h", [2**14, -(2**13)]),
        ("int8_data", "b", [64, -32]),
        ("uint8_data", "B", [192, 96]),
    ],
)
def test_the_typed_field_that_is_filled_is_read(field: str, code: str, values: list[float]) -> None:
    names = ("float32_data", "int32_data", "int24_data", "int16_data", "int8_data", "uint8_data")
    data = SimpleNamespace(**{name: array.array("f") for name in names})
    setattr(data, field, array.array(code, values))
    info = SimpleNamespace(format=1, channels=1, rate=16000, chunk=2)
    sound = sound_of(message(audio=SimpleNamespace(audio_data=data, info=info)))
    np.testing.assert_allclose(sound.samples[:, 0], [0.5, -0.25])


def test_flat_stamped_data_is_read_too() -> None:
    info = format_of(plain(audio_info_fields(16000, 1)))
    sound = sound_of(message(data=array.array("B", b"\x00\x40")), info)
    np.testing.assert_allclose(sound.samples, [[0.5]])


def test_data_without_its_format_says_what_is_missing() -> None:
    with pytest.raises(WireError, match="audio_info"):
        sound_of(message(data=array.array("B", b"\x00\x40")))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"coding_format": "mp3"}, "mp3"),
        ({"sample_format": "S17LE"}, "S17LE"),
        ({"sample_rate": 0}, "0 Hz"),
        ({"channels": 0}, "0 channels"),
    ],
)
def test_unreadable_formats_are_named(changes: dict[str, object], word: str) -> None:
    info = plain(audio_info_fields(16000, 1))
    for name, value in changes.items():
        setattr(info, name, value)
    with pytest.raises(WireError, match=word):
        format_of(info)


def test_cut_samples_and_other_messages_are_refused() -> None:
    with pytest.raises(WireError, match="whole samples"):
        pcm_to_float(b"abc", "S16LE", 1)
    with pytest.raises(WireError, match="no audio"):
        sound_of(message(text="hello"))


def test_a_type_on_the_graph_names_its_package() -> None:
    assert kind_of_type("audio_common_msgs/msg/AudioStamped") is AudioKind.MGONZS13
    assert kind_of_type("audio_common_msgs/msg/AudioDataStamped") is AudioKind.ROS_DRIVERS
    assert kind_of_type("audio_utils_msgs/msg/AudioFrame") is AudioKind.AUDIO_UTILS
    assert kind_of_type("std_msgs/msg/String") is None
