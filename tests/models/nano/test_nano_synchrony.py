"""Movements that go along with the loudness are told from those that do not, at any rate of frames."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_avs.models.nano.synchrony import Synchrony, Trace, follow, no_trace, own_motion, synchrony

SIDE = 160
STEP_S = 0.1
MOUTH = (slice(60, 76), slice(40, 60))
"""Where it flickers with the voice, in pixels; cells are 4 px large."""
HAND = (slice(60, 76), slice(110, 130))


def texture(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0.2, 0.8, (SIDE // 8, SIDE // 8)).astype(np.float32)
    return np.kron(coarse, np.ones((8, 8), np.float32))


def voice(time_s: float) -> float:
    return 0.5 * float(np.sin(2 * np.pi * 1.3 * time_s))


def picture(time_s: float, shift: int = 0) -> np.ndarray:
    """The mouth moves as the voice is loud, the hand at another rhythm."""
    image = texture()
    wave = np.sin(40 * time_s)
    image[MOUTH] += np.float32(0.15 * wave * (0.5 + voice(time_s)))
    image[HAND] += np.float32(0.15 * wave * (0.5 + 0.5 * np.sin(2 * np.pi * 1.9 * time_s)))
    return np.roll(image, shift, axis=1)


def watch(seconds: float, step_s: float = STEP_S, camera: int = 0) -> Trace:
    trace, before = no_trace(), None
    for k in range(round(seconds / step_s)):
        now = picture(k * step_s, camera * (k % 2))
        if before is not None:
            trace = follow(trace, before, now, voice(k * step_s), round(step_s * 1e9))
        before = now
    return trace


def at(result: Synchrony, place: tuple[slice, slice]) -> float:
    rows, columns = (slice(s.start // 4, s.stop // 4) for s in place)
    return float(np.sort(result.correlation[rows, columns].ravel())[-4:].mean())


@pytest.mark.parametrize("step_s", [0.04, 0.1])
@pytest.mark.parametrize("camera", [0, 1])
def test_what_moves_with_the_voice_is_told_from_what_moves(step_s: float, camera: int) -> None:
    result = synchrony(watch(4.0, step_s, camera))
    assert at(result, MOUTH) > at(result, HAND) + 0.2


@given(st.lists(st.floats(-3, 3), min_size=6, max_size=12))
@settings(max_examples=20, deadline=None)
def test_the_sums_are_mean_and_covariance(loud: list[float]) -> None:
    pictures = [texture(k) for k in range(len(loud) + 1)]
    trace, motions = no_trace(), []
    for k, level in enumerate(loud):
        trace = follow(trace, pictures[k] * 0.3, pictures[k + 1] * 0.3, level, 200_000_000)
        motions.append(own_motion(pictures[k] * 0.3, pictures[k + 1] * 0.3)[0])
    weight = 0.2 * np.exp(-0.1 * np.arange(len(loud))[::-1])
    weight /= weight.sum()
    stack, heard = np.stack(motions).astype(np.float64), np.array(loud)
    mean, centre = np.tensordot(weight, stack, 1), float(weight @ heard)
    covariance = np.tensordot(weight * (heard - centre), stack - mean, 1)
    seconds = trace.seconds
    assert np.allclose(trace.moved / seconds, mean, atol=1e-5)
    assert trace.loud / seconds == pytest.approx(centre, abs=1e-6)
    assert np.allclose(trace.both / seconds - trace.moved / seconds * centre, covariance, atol=1e-4)
    assert synchrony(trace).spread == pytest.approx(np.sqrt(weight @ (heard - centre) ** 2), abs=1e-4)


def test_a_shifted_picture_has_no_motion_of_its_own() -> None:
    image = texture()
    smooth = np.kron(image[::8, ::8], np.ones((8, 8), np.float32))
    for _ in range(6):  # gentle slopes, so that a shift of one pixel is a small one
        smooth = (
            smooth + np.roll(smooth, 1, 0) + np.roll(smooth, 1, 1) + np.roll(smooth, (1, 1), (0, 1))
        ) / 4
    moved, change, _ = own_motion(smooth, np.roll(smooth, 1, axis=1))
    assert moved[8:-8, 8:-8].mean() < 0.35 * change


def test_a_cut_and_a_pause_forget() -> None:
    trace = watch(2.0)
    assert trace.seconds > 1
    assert follow(trace, np.zeros((SIDE, SIDE), np.float32), texture(), 0.0, 100_000_000).seconds == 0
    assert follow(trace, texture(), texture(), 0.0, 3_000_000_000).seconds == 0


def test_nothing_known_says_nothing() -> None:
    result = synchrony(no_trace())
    assert result.seconds == 0
    assert not result.gain.any()
    assert not result.correlation.any()
