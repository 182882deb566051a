"""mn_mel: values computed in float64 from the published recipe; streaming equals batch."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stream_avs.audio import mn_mel


def audio(samples: int) -> np.ndarray:
    """The signal the reference values were computed from."""
    n = np.arange(samples, dtype=np.int64)
    return (0.3 * np.sin(0.05 * n) + 0.4 * (((n**3) % 65521) / 65521 - 0.5)).astype(np.float32)


def test_the_mel_matrix_is_kaldis_from_0_to_15_khz() -> None:
    matrix = mn_mel.FILTERS
    assert matrix.shape == (128, 513)
    assert np.count_nonzero(matrix) == 947
    assert matrix.sum() == pytest.approx(473.490551, abs=1e-6)
    assert np.count_nonzero(matrix.sum(axis=1) == 0) == 0
    np.testing.assert_allclose(
        matrix[64, 83:88], [0.231819, 0.623461, 0.988560, 0.604177, 0.223324], atol=1e-6
    )
    np.testing.assert_allclose([matrix[1, 1], matrix[10, 7]], [0.811407, 0.721652], atol=1e-6)
    assert not matrix[:, 0].any()
    assert not matrix[:, 512].any()


@pytest.mark.parametrize(
    ("samples", "frames", "mean", "std"),
    [
        (30_720, 96, 1.003728, 0.658679),
        (64_000, 200, 1.003708, 0.658874),
        (320_000, 1000, 1.003478, 0.659246),
    ],
)
def test_batch_matches_the_reference(samples: int, frames: int, mean: float, std: float) -> None:
    mel = mn_mel.log_mel(audio(samples))
    assert mel.shape == (128, frames)
    assert mel.dtype == np.float32
    assert mel.mean(dtype=np.float64) == pytest.approx(mean, abs=2e-6)
    assert mel.std(dtype=np.float64) == pytest.approx(std, abs=2e-6)
    low = [-0.372824, -0.081882, -0.055537, -0.017866, 0.045424, -0.139136, -0.072133, -0.089116]
    edge = [0.963850, 1.225819, 1.056215, 0.839299, 1.031737, 0.610928, 0.808144, 0.940465]
    high = [1.836447, 1.924594, 1.987221, 1.875309, 1.864591, 1.816748, 1.874205, 1.925560]
    np.testing.assert_allclose(mel[0:8, 10], low, atol=2e-6)
    np.testing.assert_allclose(mel[64, 0:8], edge, atol=2e-6)
    np.testing.assert_allclose(mel[120:128, 5], high, atol=2e-6)


@pytest.mark.parametrize(("samples", "frames"), [(514, 2), (30_720, 96), (30_721, 97), (32_000, 100)])
def test_frame_counts(samples: int, frames: int) -> None:
    assert mn_mel.log_mel(audio(samples)).shape[1] == frames == mn_mel.frame_count(samples)


def test_silence_is_one_value() -> None:
    mel = mn_mel.log_mel(np.zeros(6400, np.float32))
    np.testing.assert_allclose(mel, -1.402585, atol=1e-6)
    assert pytest.approx(-1.402585, abs=1e-6) == mn_mel.SILENCE


def test_too_short_a_clip_is_refused_with_its_length() -> None:
    with pytest.raises(ValueError, match="513"):
        mn_mel.log_mel(np.zeros(513, np.float32))


@settings(max_examples=40, deadline=None)
@given(
    chunks=st.lists(st.integers(0, 9000), min_size=1, max_size=12),
    back=st.integers(0, 20),
    length=st.integers(514, 32_000),
    seed=st.integers(0, 2**16),
)
def test_a_cut_of_the_stream_equals_the_batch_of_the_same_samples(
    chunks: list[int], back: int, length: int, seed: int
) -> None:
    samples = np.random.default_rng(seed).uniform(-1, 1, sum(chunks)).astype(np.float32)
    stream = mn_mel.MnMelStream(capacity_s=1.0)
    for chunk in np.split(samples, np.cumsum(chunks)[:-1]):
        stream.push(chunk)
    start = max(0, (len(samples) - length) // 320 - back) * 320
    stop = min(start + length, len(samples))
    assume(stop - start >= mn_mel.MIN_SAMPLES and start >= stream.samples.start)
    np.testing.assert_allclose(stream.cut(start, stop), mn_mel.log_mel(samples[start:stop]), atol=1e-6)


def test_the_longest_promised_cut_is_possible_at_every_length_of_the_stream() -> None:
    samples = np.random.default_rng(5).uniform(-1, 1, 64_000).astype(np.float32)
    stream = mn_mel.MnMelStream(capacity_s=0.5)
    for begin in range(0, len(samples), 777):
        stream.push(samples[begin : begin + 777])
        stop = min(begin + 777, len(samples))
        start = -(-(stop - 16_000) // 320) * 320
        if start < 0:
            continue
        np.testing.assert_allclose(stream.cut(start, stop), mn_mel.log_mel(samples[start:stop]), atol=1e-6)


def test_a_cut_off_the_grid_or_gone_is_refused() -> None:
    stream = mn_mel.MnMelStream(capacity_s=0.1)
    stream.push(np.zeros(200_000, np.float32))
    with pytest.raises(ValueError, match="multiple of 320"):
        stream.cut(199_001, 200_000)
    with pytest.raises(IndexError, match="held"):
        stream.cut(0, 3200)
    with pytest.raises(ValueError, match="at least 514"):
        stream.cut(199_680, 200_000)
