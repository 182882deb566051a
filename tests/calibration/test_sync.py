"""The shift: right to 5 ms wherever a result is given, and no result where there is no telling."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from av_scene import Scene, film
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream_avs.calibration.errors import CalibrationError
from stream_avs.calibration.sync import estimate_shift
from stream_avs.calibration.sync_plot import draw_sync
from stream_avs.calibration.sync_result import Method, SyncEstimate, SyncLimits
from stream_avs.errors import ConfigError
from stream_avs.types import StampSource

SHIFTS_S = (-0.300, -0.137, 0.0, 0.0613, 0.300)


def estimate(scene: Scene, **kwargs: object) -> SyncEstimate:
    pictures, sound = film(scene)
    method = Method(scene.kind)
    return estimate_shift(pictures, sound, **{"method": method, **kwargs})  # type: ignore[arg-type]


def check(scene: Scene) -> SyncEstimate:
    found = estimate(scene)
    assert abs(found.shift_s - scene.shift_s) <= 0.005
    # The error it claims must be believable, neither much too small nor useless.
    assert abs(found.shift_s - scene.shift_s) <= 4 * found.std_error_s
    assert 0.0005 <= found.std_error_s <= 0.005
    return found


@pytest.mark.parametrize("shift_s", SHIFTS_S)
@pytest.mark.parametrize("kind", ["flash", "clap"])
def test_known_shifts(kind: str, shift_s: float) -> None:
    found = check(Scene(kind=kind, shift_s=shift_s, seed=round(abs(shift_s) * 1e4)))
    assert found.method is Method(kind)
    assert found.events >= 14
    assert found.fps == pytest.approx(30, rel=1e-3)


@pytest.mark.parametrize(
    "change",
    [
        {"false_sounds": 12, "false_sights": 6, "unseen": 0.15, "unheard": 0.15, "events": 24},
        {"sound_noise": 0.04, "picture_noise": 6.0},
        {"jitter_s": 0.002},
        {"lost": 0.05, "events": 24},
        {"fps": 25.0},
        {"fps": 60.0},
    ],
    ids=lambda c: ",".join(c),
)
@pytest.mark.parametrize("kind", ["flash", "clap"])
def test_hard_recordings(kind: str, change: dict[str, float]) -> None:
    check(Scene(kind=kind, shift_s=-0.212, seed=3, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("exposure_s", "tone"),
    [(0.0, 1.0), (0.005, 2.2), (0.02, 0.45), (0.02, 2.2), (1 / 30, 0.45), (1 / 30, 1.0)],
)
def test_flashes_at_any_exposure_and_tone_curve(exposure_s: float, tone: float) -> None:
    check(Scene(shift_s=0.087, exposure_s=exposure_s, tone=tone, seed=5))


def test_a_long_exposure_biases_claps_by_some_milliseconds() -> None:
    # Hands are seen to move as long as they did at any time of the exposure.
    found = estimate(Scene(kind="clap", exposure_s=0.03, shift_s=0.1, seed=2))
    assert -0.009 < found.shift_s - 0.1 < -0.002


def test_flashes_at_few_frames_per_second() -> None:
    check(Scene(shift_s=0.1, fps=15.0, events=25, seed=1))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    shift_s=st.floats(-0.3, 0.3),
    fps=st.floats(24, 60),
    exposure_share=st.floats(0, 1),
    false_sounds=st.integers(0, 8),
    seed=st.integers(0, 10_000),
)
def test_flashes_are_right_or_refused(
    shift_s: float, fps: float, exposure_share: float, false_sounds: int, seed: int
) -> None:
    scene = Scene(
        shift_s=shift_s, fps=fps, exposure_s=exposure_share / fps, false_sounds=false_sounds, seed=seed
    )
    try:
        found = estimate(scene)
    except CalibrationError:
        return
    assert abs(found.shift_s - shift_s) <= 0.005


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(shift_s=st.floats(-0.3, 0.3), fps=st.floats(24, 60), seed=st.integers(0, 10_000))
def test_claps_are_right_or_refused(shift_s: float, fps: float, seed: int) -> None:
    try:
        found = estimate(Scene(kind="clap", shift_s=shift_s, fps=fps, seed=seed))
    except CalibrationError:
        return
    assert abs(found.shift_s - shift_s) <= 0.005


def test_auto_tells_flashes_from_claps() -> None:
    for kind in ("flash", "clap"):
        assert estimate(Scene(kind=kind, seed=2), method=Method.AUTO).method is Method(kind)


def test_few_frames_that_fall_into_the_edge_cost_certainty() -> None:
    # Given one camera that sees the flash begin and one that only sees before and after
    sharp = estimate(
        Scene(exposure_s=0.0, fps=15.0, events=30, seed=4), limits=SyncLimits(max_std_error_s=0.1)
    )
    soft = estimate(Scene(exposure_s=1 / 15, fps=15.0, events=30, seed=4))
    # Then the second one is surer
    assert sharp.std_error_s > soft.std_error_s


def test_drawn_video_is_exact_and_filmed_at_one_phase_is_refused() -> None:
    # Given events that always fall on the same moment of the frame period
    scene = Scene(exposure_s=0.0, fps=25.0, pace_s=(1.2, 1.2), moving=False, seed=6)
    pictures, sound = film(scene)
    # When a camera filmed them, where within the period they began cannot be known
    with pytest.raises(CalibrationError, match=r"standard error of \d+\.\d ms"):
        estimate_shift(pictures, sound, method=Method.FLASH)
    # When they were drawn, they began with the frame
    drawn = dataclasses.replace(pictures, stamp_source=StampSource.CONTAINER)
    found = estimate_shift(drawn, sound, method=Method.FLASH)
    assert found.frame_locked
    first_bright_ns = pictures.stamps_ns[
        np.flatnonzero(np.diff(pictures.grey[:, 12, 20].astype(int)) > 90) + 1
    ]
    phase_s = (first_bright_ns[0] / 1e9 - scene.start_s - 2.2) % 0.04
    assert found.shift_s == pytest.approx(-phase_s, abs=0.001)


def test_varied_phases_are_never_taken_for_drawn() -> None:
    found = check(Scene(shift_s=0.05, exposure_s=0.0, stamp_source=StampSource.CONTAINER, seed=8))
    assert not found.frame_locked


@pytest.mark.parametrize("kind", ["flash", "clap"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"events": 6}, r"\b6 (flashes|claps) were seen, 10 are needed"),
        ({"unheard": 0.7}, "sudden sounds were heard, 10 are needed"),
        ({"unheard": 1.0, "false_sounds": 20}, "belong together|both fit|agree on a shift"),
        ({"pace_s": (0.6, 0.6), "shift_s": 0.29}, "both fit"),
        ({"shift_s": 0.8}, "belong together|both fit|agree on a shift"),
    ],
    ids=["few events", "few sounds", "unrelated", "regular", "out of reach"],
)
def test_refusals(kind: str, change: dict[str, object], message: str) -> None:
    with pytest.raises(CalibrationError, match=message) as caught:
        estimate(Scene(kind=kind, seed=11, **change))  # type: ignore[arg-type]
    assert caught.value.next_step


def test_unrelated_events_are_always_refused() -> None:
    for seed in range(4):
        with pytest.raises(CalibrationError):
            estimate(Scene(events=30, unheard=1.0, false_sounds=40, seed=seed))


def test_drift_is_refused() -> None:
    pictures, sound = film(Scene(events=24, seed=13))
    # Given a microphone clock that runs 0.2 % fast: 60 ms in 30 s
    fast = tuple(dataclasses.replace(p, rate_hz=p.rate_hz * 0.998) for p in sound)
    with pytest.raises(CalibrationError, match=r"changed by \+\d+|agree on a shift|belong together"):
        estimate_shift(pictures, fast, method=Method.FLASH)


def test_small_drift_is_reported() -> None:
    pictures, sound = film(Scene(events=40, fps=60, exposure_s=1 / 60, pace_s=(0.9, 1.1), seed=14))
    fast = tuple(dataclasses.replace(p, rate_hz=p.rate_hz / 1.0003) for p in sound)
    found = estimate_shift(pictures, fast, method=Method.FLASH)
    assert found.drift_s == pytest.approx(0.0003 * np.ptp(found.times_s), rel=0.3)


def test_too_large_a_standard_error_is_refused() -> None:
    with pytest.raises(CalibrationError, match="standard error"):
        estimate(Scene(kind="clap", seed=1), limits=SyncLimits(max_std_error_s=0.001))


def test_claps_need_enough_frames() -> None:
    with pytest.raises(CalibrationError, match=r"15\.0 frames per second are too few"):
        estimate(Scene(kind="clap", fps=15.0))


def test_no_pictures_and_no_sound_are_refused() -> None:
    pictures, sound = film(Scene(events=12))
    with pytest.raises(CalibrationError, match="0 sudden sounds"):
        estimate_shift(pictures, (), method=Method.FLASH)
    none = dataclasses.replace(pictures, stamps_ns=pictures.stamps_ns[:2], grey=pictures.grey[:2])
    with pytest.raises(CalibrationError, match="0 flashes"):
        estimate_shift(none, sound, method=Method.FLASH)


@pytest.mark.parametrize(
    "limits",
    [{"min_events": 2}, {"max_shift_s": 3.0}, {"max_std_error_s": 0.0}, {"max_drift_s": 0.0}],
    ids=lambda limits: next(iter(limits)),
)
def test_limits_are_checked(limits: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(limits))):
        SyncLimits(**limits)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["flash", "clap"])
def test_plot_marks_the_shift(kind: str) -> None:
    image = draw_sync(estimate(Scene(kind=kind, shift_s=0.05, seed=2)), "scene").image
    red = (image[..., 0] > 180) & (image[..., 1] < 80) & (image[..., 2] < 80)
    # A red upright line in the middle of the left panel, and a lying one in the right.
    assert red[130:470, 340:350].any(axis=1).mean() > 0.95
    assert red[295:306, 720:1200].any(axis=0).mean() > 0.8
