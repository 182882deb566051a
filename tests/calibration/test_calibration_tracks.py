from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_avs.calibration.tracks import PictureTrack, join_blocks
from stream_avs.types import AudioBlock


def blocks(
    sizes: list[int], rate_hz: int = 16_000, start_ns: int = 5 * 10**9, speed: float = 1.0, jitter_ns: int = 0
) -> list[AudioBlock]:
    random = np.random.default_rng(0)
    position, made = 0, []
    for size in sizes:
        samples = np.arange(position, position + size, dtype=np.float32)[:, None] * np.float32(1e-6)
        stamp_ns = (
            start_ns + round(position / rate_hz / speed * 1e9) + round(random.uniform(-1, 1) * jitter_ns)
        )
        made.append(AudioBlock(samples=samples, stamp_ns=stamp_ns, sample_rate_hz=rate_hz))
        position += size
    return made


@given(sizes=st.lists(st.integers(0, 2000), min_size=1, max_size=40))
def test_joining_keeps_every_sample_in_order(sizes: list[int]) -> None:
    pieces = join_blocks(blocks(sizes))
    assert len(pieces) == (1 if sum(sizes) else 0)
    if pieces:
        assert len(pieces[0].samples) == sum(sizes)
        assert (np.diff(pieces[0].samples) > 0).all()
        assert abs(pieces[0].time_ns(sum(sizes)) - 5 * 10**9 - sum(sizes) / 16_000 * 1e9) < 1000


def test_a_hole_and_a_change_of_rate_begin_new_pieces() -> None:
    first, second = blocks([1600, 1600])
    late = AudioBlock(samples=second.samples, stamp_ns=second.stamp_ns + 30_000_000, sample_rate_hz=16_000)
    other = AudioBlock(samples=second.samples, stamp_ns=second.stamp_ns, sample_rate_hz=8000)
    assert [len(p.samples) for p in join_blocks([first, late])] == [1600, 1600]
    assert [p.rate_hz for p in join_blocks([first, other])] == [16_000, 8000]


def test_jitter_is_evened_out_and_drift_is_followed() -> None:
    (piece,) = join_blocks(blocks([320] * 1000, speed=1.0002, jitter_ns=5_000_000))
    assert piece.rate_hz == pytest.approx(16_000 * 1.0002, rel=3e-5)
    middle = 320 * 500
    assert piece.time_ns(middle) / 1e9 == pytest.approx(5 + middle / 16_000 / 1.0002, abs=0.0005)


def test_channels_are_averaged() -> None:
    samples = np.tile(np.array([[0.5, -0.1]], np.float32), (100, 1))
    (piece,) = join_blocks([AudioBlock(samples=samples, stamp_ns=0, sample_rate_hz=8000)])
    assert piece.samples == pytest.approx(np.full(100, 0.2))


def test_period_of_pictures() -> None:
    stamps = np.array([0, 40, 80, 160, 200], np.int64) * 1_000_000
    track = PictureTrack(stamps_ns=stamps, grey=np.zeros((5, 2, 2), np.uint8))
    assert track.period_s == pytest.approx(0.04)
    assert PictureTrack(stamps_ns=stamps[:1], grey=track.grey[:1]).period_s == 0.0
