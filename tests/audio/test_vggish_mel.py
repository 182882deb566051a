"""vggish_mel: an independent transcription of the recipe, frame counts, streaming equals batch."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_avs.audio import vggish_mel


def slow_frame(samples: np.ndarray, t: int) -> list[float]:
    """One frame by the definition: a plain Fourier sum and one triangle at a time."""
    n = np.arange(400)
    windowed = samples[160 * t : 160 * t + 400] * (0.5 - 0.5 * np.cos(2 * np.pi * n / 400))
    magnitude = [abs(np.sum(windowed * np.exp(-2j * np.pi * k * n / 512))) for k in range(257)]

    def mel(hz: float) -> float:
        return 1127 * math.log(1 + hz / 700)

    step = (mel(7500) - mel(125)) / 65
    row = []
    for band in range(64):
        left = mel(125) + band * step
        total = 0.0
        for k in range(1, 257):
            rise = (mel(k * 31.25) - left) / step
            total += max(0.0, min(rise, 2 - rise)) * magnitude[k]
        row.append(math.log(total + 0.01))
    return row


def noise(samples: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, samples).astype(np.float32)


def test_frames_follow_the_recipe() -> None:
    samples = noise(4000) + np.float32(0.3)
    mel = vggish_mel.log_mel(samples)
    for t in (0, 7, len(mel) - 1):
        np.testing.assert_allclose(mel[t], slow_frame(samples.astype(np.float64), t), atol=2e-6)


@pytest.mark.parametrize(("seconds", "frames", "count"), [(0.975, 96, 1), (5, 498, 5), (10, 998, 10)])
def test_frame_and_example_counts(seconds: float, frames: int, count: int) -> None:
    mel = vggish_mel.log_mel(noise(round(seconds * 16_000)))
    assert mel.shape == (frames, 64)
    cut = vggish_mel.examples(mel)
    assert cut.shape == (count, 96, 64)
    np.testing.assert_array_equal(cut[-1], mel[96 * (count - 1) : 96 * count])


def test_silence_is_the_log_of_the_offset_and_short_clips_have_no_frames() -> None:
    np.testing.assert_allclose(vggish_mel.log_mel(np.zeros(1000, np.float32)), math.log(0.01), atol=1e-6)
    assert vggish_mel.log_mel(np.zeros(399, np.float32)).shape == (0, 64)
    assert vggish_mel.log_mel(np.zeros(400, np.float32)).shape == (1, 64)


@settings(max_examples=40, deadline=None)
@given(chunks=st.lists(st.integers(0, 6000), min_size=1, max_size=12), seed=st.integers(0, 2**16))
def test_the_stream_equals_the_batch_in_any_chunking(chunks: list[int], seed: int) -> None:
    samples = noise(sum(chunks), seed)
    stream = vggish_mel.VggishMelStream(capacity_s=0.5)
    count = sum(stream.push(chunk) for chunk in np.split(samples, np.cumsum(chunks)[:-1]))
    batch = vggish_mel.log_mel(samples)
    held = stream.held
    assert count == held.stop == len(batch)
    assert len(held) >= min(len(batch), 50)
    np.testing.assert_allclose(stream.frames(held.start, held.stop), batch[held.start :], atol=1e-6)


def test_frames_no_longer_held_are_refused() -> None:
    stream = vggish_mel.VggishMelStream(capacity_s=0.2)
    stream.push(noise(32_000))
    with pytest.raises(IndexError, match="held"):
        stream.frames(0, 10)
