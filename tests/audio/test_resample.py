"""StreamResampler: true stamps, no aliasing, little held back, and block sizes that do not matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_avs.audio.resample import StreamResampler
from stream_avs.types import NS_PER_S, AudioBlock, Samples, StampSource

T0 = 77 * NS_PER_S
PAIRS = [(44_100, 32_000), (48_000, 32_000), (16_000, 32_000), (44_100, 16_000), (48_000, 16_000)]


def resample(
    signal: Samples, rate_in_hz: int, rate_out_hz: int, sizes: list[int] | None = None, ppm: float = 0.0
) -> tuple[Samples, Samples]:
    """Stream a signal through; return the samples and, in seconds after T0, the time of each by its stamp.

    Args:
        signal: float32 [n], its first sample at T0.
        sizes: block lengths, repeated; blocks of 20 ms without.
        ppm: by how much the device's clock is fast, as its stamps show.
    """
    resampler = StreamResampler(rate_out_hz)
    sizes = sizes or [rate_in_hz // 50]
    values, times, begin, k = [], [], 0, 0
    while begin < len(signal):
        size = sizes[k % len(sizes)]
        stamp_ns = T0 + round(begin * NS_PER_S / (rate_in_hz * (1 + ppm * 1e-6)))
        piece = signal[begin : begin + size, None]
        block = resampler.push(AudioBlock(samples=piece, stamp_ns=stamp_ns, sample_rate_hz=rate_in_hz))
        begin, k = begin + size, k + 1
        for out in (block, resampler.flush() if begin >= len(signal) else None):
            if out is not None:
                assert out.sample_rate_hz == rate_out_hz
                assert out.samples.dtype == np.float32
                values.append(out.samples[:, 0])
                times.append((out.stamp_ns - T0) / NS_PER_S + np.arange(len(out.samples)) / rate_out_hz)
    return np.concatenate(values), np.concatenate(times)


def tone(frequency_hz: float, rate_hz: int, duration_s: float = 0.5) -> Samples:
    t = np.arange(round(duration_s * rate_hz)) / rate_hz
    return np.sin(2 * np.pi * frequency_hz * t).astype(np.float32)


def level_db(signal: Samples) -> float:
    middle = signal[len(signal) // 4 : -len(signal) // 4].astype(float)
    return float(10 * np.log10(2 * np.mean(middle**2) + 1e-20))


@pytest.mark.parametrize(("rate_in_hz", "rate_out_hz"), PAIRS)
def test_an_impulse_keeps_its_time(rate_in_hz: int, rate_out_hz: int) -> None:
    for at in (0, 1, 4321, 7000):
        impulse = np.zeros(rate_in_hz // 2, np.float32)
        impulse[at] = 1.0
        values, times = resample(impulse, rate_in_hz, rate_out_hz)
        if at < 100:  # half of its ringing lies before the start
            assert abs(times[np.argmax(values)] - at / rate_in_hz) <= 0.5 / rate_out_hz
            continue
        centre = float((values * times).sum() / values.sum())
        assert abs(centre - at / rate_in_hz) < 1e-6


@pytest.mark.parametrize(("rate_in_hz", "rate_out_hz"), PAIRS)
@pytest.mark.parametrize("ppm", [0.0, 200.0, -200.0])
def test_a_chirp_keeps_its_time_under_drift(rate_in_hz: int, rate_out_hz: int, ppm: float) -> None:
    """The phase at every output sample is that of the chirp at the time its stamp says."""
    duration_s, top_hz = 4.0, 0.4 * min(rate_in_hz, rate_out_hz)

    def phase(t: Samples) -> Samples:
        return 2 * np.pi * (100 * t + (top_hz - 100) / (2 * duration_s) * t**2)  # type: ignore[no-any-return]

    captured = np.arange(round(duration_s * rate_in_hz)) / (rate_in_hz * (1 + ppm * 1e-6))
    values, times = resample(np.cos(phase(captured)).astype(np.float32), rate_in_hz, rate_out_hz, ppm=ppm)
    settled = (times > 0.1) & (times < duration_s - 0.1)
    t, v = times[settled], values[settled]
    instantaneous_hz = 100 + (top_hz - 100) / duration_s * t
    analytic = v - 1j * _quadrature(v)
    error_s = np.angle(analytic * np.exp(-1j * phase(t))) / (2 * np.pi * instantaneous_hz)
    inner = slice(2000, -2000)
    assert np.abs(error_s[inner]).max() < 0.1e-3
    assert abs(np.median(error_s[inner])) < 0.01e-3


def _quadrature(v: Samples) -> Samples:
    """Minus the Hilbert transform, by Fourier."""
    spectrum = np.fft.fft(v)
    return -np.fft.ifft(-1j * np.sign(np.fft.fftfreq(len(v))) * spectrum).real  # type: ignore[no-any-return]


@pytest.mark.parametrize(("rate_in_hz", "rate_out_hz"), PAIRS)
def test_the_passband_is_flat_and_the_rest_is_silent(rate_in_hz: int, rate_out_hz: int) -> None:
    nyquist_hz = min(rate_in_hz, rate_out_hz) / 2
    for share in (0.05, 0.5, 0.8, 0.9):
        values, _ = resample(tone(share * nyquist_hz, rate_in_hz), rate_in_hz, rate_out_hz)
        assert abs(level_db(values)) < 0.01
    for share in (1.01, 1.1, 1.3):
        if share * nyquist_hz < rate_in_hz / 2:
            values, _ = resample(tone(share * nyquist_hz, rate_in_hz), rate_in_hz, rate_out_hz)
            assert level_db(values) < -80


def test_raising_the_rate_makes_no_images() -> None:
    values, _ = resample(tone(5000, 16_000), 16_000, 32_000)
    spectrum = np.abs(np.fft.rfft(values[2000:-2000] * np.hanning(len(values) - 4000))) ** 2
    hz = np.fft.rfftfreq(len(values) - 4000, 1 / 32_000)
    near = np.abs(hz - 5000) < 50
    assert 10 * np.log10(spectrum[~near].sum() / spectrum[near].sum()) < -75


@pytest.mark.parametrize(
    ("rate_in_hz", "rate_out_hz", "limit_ms"),
    [
        (44_100, 32_000, 1.7),
        (48_000, 32_000, 1.7),
        (48_000, 16_000, 3.3),
        (16_000, 32_000, 3.3),
        (8000, 32_000, 6.5),
    ],
)
def test_little_is_held_back(rate_in_hz: int, rate_out_hz: int, limit_ms: float) -> None:
    resampler = StreamResampler(rate_out_hz)
    size, put, got = rate_in_hz // 50, 0, 0
    for k in range(100):
        samples = np.zeros((size, 1), np.float32)
        out = resampler.push(
            AudioBlock(samples=samples, stamp_ns=T0 + k * NS_PER_S // 50, sample_rate_hz=rate_in_hz)
        )
        put, got = put + size, got + (0 if out is None else len(out.samples))
        assert resampler.held_back_s == pytest.approx(put / rate_in_hz - got / rate_out_hz, abs=1e-9)
        assert 0 < resampler.held_back_s * 1000 < limit_ms
    resampler.flush()
    assert resampler.held_back_s == 0


def test_agrees_with_an_independent_resampler() -> None:
    soxr = pytest.importorskip("soxr", reason="compares with libsoxr, `pip install soxr`")
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(rng.standard_normal(48_000))
    spectrum[14_000:] = 0  # both filters are flat up to 14 kHz
    noise = (np.fft.irfft(spectrum) * 0.1).astype(np.float32)
    ours, _ = resample(noise, 48_000, 32_000)
    theirs = soxr.resample(noise, 48_000, 32_000, quality="VHQ")
    assert len(ours) == len(theirs)
    assert np.abs(ours - theirs)[500:-500].max() < 1e-4


@given(sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=6), pair=st.sampled_from(PAIRS))
@settings(max_examples=40, deadline=None)
def test_block_sizes_do_not_matter(sizes: list[int], pair: tuple[int, int]) -> None:
    signal = np.random.default_rng(1).standard_normal(9000).astype(np.float32)
    sizes = [*sizes, 1000]  # or single samples only would take long
    whole, whole_times = resample(signal, *pair, sizes=[9000])
    pieces, times = resample(signal, *pair, sizes=sizes)
    assert len(whole) == -(-9000 * pair[1] // pair[0])  # as long as the signal lasts
    assert np.allclose(pieces, whole, atol=1e-6)
    assert np.allclose(times, whole_times, rtol=0, atol=2e-9)


def push(
    resampler: StreamResampler, begin_ms: float, *, rate_hz: int = 48_000, channels: int = 1, value: float = 1
) -> AudioBlock:
    samples = np.full((rate_hz // 50, channels), value, np.float32)
    out = resampler.push(
        AudioBlock(samples=samples, stamp_ns=T0 + round(begin_ms * 1e6), sample_rate_hz=rate_hz)
    )
    assert out is not None
    return out


def test_a_jump_of_the_stamp_starts_anew() -> None:
    resampler = StreamResampler(32_000)
    push(resampler, 0)
    push(resampler, 20)
    out = push(resampler, 240)
    assert out.stamp_ns == T0 + 240_000_000
    out = push(resampler, 60)
    assert out.stamp_ns == T0 + 60_000_000
    out = push(resampler, 85)  # 5 ms late: the same audio, its time moved
    assert out.stamp_ns == pytest.approx(T0 + 80e6 - 1.5e6, abs=0.1e6)
    out = push(resampler, 105)
    assert out.stamp_ns == pytest.approx(T0 + 105e6 - 1.5e6, abs=0.1e6)


def test_another_format_starts_anew() -> None:
    resampler = StreamResampler(32_000)
    push(resampler, 0)
    assert push(resampler, 20, channels=2).stamp_ns == T0 + 20_000_000
    assert push(resampler, 40, rate_hz=44_100).stamp_ns == T0 + 40_000_000
    assert push(resampler, 60, rate_hz=32_000).stamp_ns == T0 + 60_000_000
    assert push(resampler, 80, rate_hz=44_100).stamp_ns == T0 + 80_000_000


def test_equal_rates_pass_through_as_mono() -> None:
    resampler = StreamResampler(32_000)
    samples = np.random.default_rng(0).standard_normal((640, 2)).astype(np.float32)
    block = AudioBlock(samples=samples, stamp_ns=T0, sample_rate_hz=32_000, stamp_source=StampSource.DRIVER)
    out = resampler.push(block)
    assert out is not None
    assert np.allclose(out.samples[:, 0], samples.mean(axis=1))
    assert (out.stamp_ns, out.stamp_source) == (T0, StampSource.DRIVER)
    assert resampler.held_back_s == 0
    assert resampler.flush() is None


def test_channels_are_averaged_and_a_constant_stays_one() -> None:
    resampler = StreamResampler(32_000)
    outs = [push(resampler, 20 * k, channels=3, value=0.25).samples for k in range(5)]
    assert np.allclose(np.concatenate(outs)[100:], 0.25, atol=1e-6)
    assert outs[0].shape[1] == 1


def test_a_sample_that_is_not_finite_spoils_only_its_neighbours() -> None:
    signal = tone(1000, 48_000)
    signal[5000] = np.nan
    values, times = resample(signal, 48_000, 32_000)
    bad = ~np.isfinite(values)
    assert 0 < bad.sum() < 120
    assert np.abs(times[bad] - 5000 / 48_000).max() < 0.002


def test_empty_and_wrong_blocks() -> None:
    resampler = StreamResampler(32_000)
    empty = np.zeros((0, 1), np.float32)
    assert resampler.push(AudioBlock(samples=empty, stamp_ns=0, sample_rate_hz=48_000)) is None
    assert resampler.flush() is None
    for samples in (np.zeros((10, 1)), np.zeros(10, np.float32), np.zeros((10, 0), np.float32)):
        with pytest.raises(ValueError, match="expected float32"):
            resampler.push(AudioBlock(samples=samples, stamp_ns=0, sample_rate_hz=48_000))
    with pytest.raises(ValueError, match="rate_out_hz is 0"):
        StreamResampler(0)


def test_hours_of_audio_stay_on_time() -> None:
    """Positions are exact integers: nothing adds up. Blocks of a minute keep the test short."""
    resampler = StreamResampler(32_000)
    minute = np.zeros((44_100 * 60, 1), np.float32)
    put, got = 0, 0
    for k in range(5):
        out = resampler.push(
            AudioBlock(samples=minute, stamp_ns=T0 + k * 60 * NS_PER_S, sample_rate_hz=44_100)
        )
        assert out is not None
        assert out.stamp_ns == pytest.approx(T0 + got / 32_000 * NS_PER_S, abs=2)
        put, got = put + len(minute), got + len(out.samples)
    assert resampler.held_back_s < 0.0017
