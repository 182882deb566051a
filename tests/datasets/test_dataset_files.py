"""Images and sounds on disk: channel order, rates, errors."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_avs.datasets.files import read_audio, read_grey, read_index, read_rgb, write_image, write_wav
from stream_avs.datasets.log_mel import EXAMPLE_SAMPLES, grid_examples, trailing_examples
from stream_avs.errors import DatasetError


def test_images_are_rgb(tmp_path: Path) -> None:
    red = np.zeros((3, 4, 3), np.uint8)
    red[..., 0] = 250
    write_image(tmp_path / "deep/red.png", red)
    np.testing.assert_array_equal(read_rgb(tmp_path / "deep/red.png"), red)
    # The first bytes of a PPM file are the red channel: an independent witness of the order.
    write_image(tmp_path / "red.ppm", red)
    assert (tmp_path / "red.ppm").read_bytes()[-3 * 12 :][:3] == bytes([250, 0, 0])


def test_index_images_keep_their_values(tmp_path: Path) -> None:
    ids = np.arange(12, dtype=np.uint8).reshape(3, 4)
    write_image(tmp_path / "ids.png", ids)
    np.testing.assert_array_equal(read_index(tmp_path / "ids.png"), ids)
    np.testing.assert_array_equal(read_grey(tmp_path / "ids.png"), ids)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("width", [1, 2, 4])
def test_wav_of_any_kind_is_the_mean_of_its_channels(tmp_path: Path, channels: int, width: int) -> None:
    left, right = np.array([0.5, -0.25, 0.0, -1.0]), np.array([0.25, 0.25, 0.5, 0.0])
    both = np.stack([left, right][:channels], axis=1)
    if width == 1:
        data = np.round(both * 128 + 128).astype(np.uint8)
    else:
        data = np.round(both * 2 ** (8 * width - 1)).astype(f"<i{width}")
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(16_000)
        file.writeframes(data.tobytes())
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav", 16_000), both.mean(axis=1), atol=1e-6)


def test_another_rate_is_resampled(tmp_path: Path) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100).astype(np.float32) * 0.5
    write_wav(tmp_path / "a.wav", tone, 44_100)
    found = read_audio(tmp_path / "a.wav", 16_000)
    expected = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000) * 0.5
    assert found.size == pytest.approx(16_000, abs=2)
    assert np.abs(found[500:15_000] - expected[500:15_000]).max() < 2e-3


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=50))
def test_sound_on_the_16_bit_grid_is_kept_exactly(
    tmp_path_factory: pytest.TempPathFactory, values: list[int]
) -> None:
    path = tmp_path_factory.mktemp("wav") / "a.wav"
    samples = np.array(values, np.float32) / 32768
    write_wav(path, samples, 16_000)
    np.testing.assert_array_equal(read_audio(path, 16_000), samples)


def test_errors_name_the_file(tmp_path: Path) -> None:
    for read in (read_rgb, read_grey, read_index):
        with pytest.raises(DatasetError, match=r"gone\.png does not exist"):
            read(tmp_path / "gone.png")
    with pytest.raises(DatasetError, match=r"gone\.wav does not exist"):
        read_audio(tmp_path / "gone.wav", 16_000)
    (tmp_path / "empty.png").touch()
    (tmp_path / "empty.wav").touch()
    with pytest.raises(DatasetError, match=r"empty\.png is not a picture"):
        read_rgb(tmp_path / "empty.png")
    with pytest.raises(DatasetError, match=r"empty\.wav cannot be read as sound"):
        read_audio(tmp_path / "empty.wav", 16_000)
    write_wav(tmp_path / "none.wav", np.zeros(0, np.float32), 16_000)
    with pytest.raises(DatasetError, match=r"none\.wav (holds no sound|cannot be read)"):
        read_audio(tmp_path / "none.wav", 16_000)
    write_image(tmp_path / "deep.png", np.zeros((2, 2), np.uint16))  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match=r"deep\.png holds uint16"):
        read_index(tmp_path / "deep.png")
    with pytest.raises(DatasetError, match=r"cannot write .*empty\.png/a\.png"):
        write_image(tmp_path / "empty.png/a.png", np.zeros((2, 2), np.uint8))
    with pytest.raises(DatasetError, match=r"cannot write .*empty\.png/a\.wav"):
        write_wav(tmp_path / "empty.png/a.wav", np.zeros(2, np.float32), 16_000)


@pytest.mark.parametrize(("seconds", "examples"), [(5, 5), (10, 10), (0.975, 1), (0.97, 0)])
def test_examples_per_clip(seconds: float, examples: int) -> None:
    assert grid_examples(np.zeros(round(seconds * 16_000), np.float32)).shape == (examples, 1, 96, 64)


def test_a_trailing_example_hears_the_sound_that_ends_at_its_frame() -> None:
    waveform = np.random.default_rng(0).normal(0, 0.1, 48_000).astype(np.float32)
    for times in ([1.0, 1.2, 2.5], [1.0, 1.2001, 3.0], [0.3, 3.5]):  # shared spectra, own spectra, edges
        found = trailing_examples(waveform, np.array(times))
        for k, time_s in enumerate(times):
            end = round(time_s * 16_000)
            padded = np.pad(waveform, (EXAMPLE_SAMPLES, 16_000))
            expected = grid_examples(padded[end : end + EXAMPLE_SAMPLES])[0]
            np.testing.assert_array_equal(found[k], expected)
