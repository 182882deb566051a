"""The drills' own parts: the network that cannot err, what counts as right, how a drill is judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stream_avs.capture.synthetic_scene import RATE_HZ, TURN_S, SyntheticScene
from stream_avs.drills.catalogue import DRILLS, chosen
from stream_avs.drills.clocks import simulated_drift, wall_clock
from stream_avs.drills.perform import judge, perform
from stream_avs.drills.report import Check, Drill, Outcome, Times, Verdict
from stream_avs.drills.truth import HEARD_S, SCENE, SceneTruth, jaccard, pixels_of, sounds_in
from stream_avs.errors import ConfigError, StreamAvsError
from stream_avs.types import NS_PER_S, MaskResult, ResultState


def times_within_turns() -> list[float]:
    return [turn * TURN_S + into_s for turn in range(18) for into_s in (0.25, 0.7, 1.15)]


def result(mask: np.ndarray, t_s: float) -> MaskResult:
    return MaskResult(
        mask=mask, stream="cam0", seq=1, window_seq=1, stamp_ns=round(t_s * NS_PER_S), arrival_ns=0,
        publish_ns=0, unix_offset_ns=0, frame_id="camera", source_size=(160, 120),
        transform=(1, 0, 0, 0, 1, 0), labels={}, sounding=(), sounding_score=1.0, audio_level_dbfs=-20.0,
        state=ResultState.OK,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_the_network_that_cannot_err_does_not(seed: int) -> None:
    scene = SyntheticScene(replace(SCENE, seed=seed))
    for t_s in times_within_turns():
        end = round(t_s * RATE_HZ)
        heard = sounds_in(scene.audio_between(end - round(HEARD_S * RATE_HZ), end)[:, 0])
        picture, truth = scene.frame_at(t_s)
        assert set(heard) == set(scene.sounding_at(t_s))
        assert jaccard(pixels_of(picture, heard), truth) == 1


def test_wrong_classes_wrong_places_and_wrong_times_are_not_right() -> None:
    scene = SyntheticScene(SCENE)
    truth = SceneTruth(scene, 0)
    right = [result(scene.frame_at(t_s)[1], t_s) for t_s in times_within_turns()]
    assert truth.agreement(right) == 1
    assert truth.agreement([replace(r, mask=np.roll(r.mask, 15, axis=1)) for r in right]) < 0.8  # type: ignore[operator]
    other = [replace(r, mask=np.where(r.mask > 0, r.mask % 3 + 1, 0).astype(np.uint8)) for r in right]
    assert truth.agreement(other) < 0.5  # type: ignore[operator]
    later = [replace(r, stamp_ns=r.stamp_ns + NS_PER_S) for r in right]
    assert truth.agreement(later) < 0.6  # type: ignore[operator]
    delayed = SceneTruth(scene, 0, delays_s=(0.0, 0.5, 1.0))
    assert delayed.agreement(later) == 1
    assert truth.agreement([result(scene.frame_at(0.05)[1], 0.05)]) is None  # while a shape flashes


def test_sound_that_never_ends_has_its_own_truth() -> None:
    scene = SyntheticScene(SCENE)
    disc = [
        result(np.where(scene.objects_at(t) == 1, 1, 0).astype(np.uint8), t) for t in times_within_turns()
    ]
    assert SceneTruth(scene, 0, always=1).agreement(disc) == 1
    assert SceneTruth(scene, 0).agreement(disc) < 0.6  # type: ignore[operator]


def drill_of(outcome: Outcome, bound_s: float | None = 2.0, needs: str = "") -> Drill:
    return Drill(
        name="x", what="a test", act=lambda folder, times: outcome, bound_s=bound_s, needs=lambda: needs
    )


GOOD, BAD = Check(name="a", found="1", passed=True), Check(name="b", found="7", passed=False)


@pytest.mark.parametrize(
    ("recovery_s", "checks", "bound_s", "reason"),
    [
        (1.9, [GOOD], 2.0, ""),
        (2.1, [GOOD], 2.0, "right masks again within 2 s: 2.10 s"),
        (None, [GOOD], 2.0, "right masks again within 2 s: none"),
        (None, [GOOD], None, ""),
        (1.0, [GOOD, BAD], 2.0, "b: 7"),
    ],
)
def test_a_drill_passes_if_it_recovers_in_time_and_every_check_holds(
    recovery_s: float | None, checks: list[Check], bound_s: float | None, reason: str
) -> None:
    report = judge(drill_of(Outcome(), bound_s), Outcome(recovery_s=recovery_s, checks=checks))
    assert report.reason == reason
    assert report.verdict is (Verdict.FAILED if reason else Verdict.PASSED)


def test_what_cannot_be_done_here_is_skipped_with_its_reason() -> None:
    report = perform(drill_of(Outcome(), needs="needs root"))
    assert (report.verdict, report.reason) == (Verdict.SKIPPED, "needs root")


def test_a_drill_that_cannot_be_done_after_all_fails_and_leaves_no_folder() -> None:
    seen: list[Path] = []

    def act(folder: Path, times: Times) -> Outcome:
        seen.append(folder)
        raise StreamAvsError("no room", "Make some")

    report = perform(Drill(name="x", what="a test", act=act))
    assert (report.verdict, report.reason) == (Verdict.FAILED, "no room. Make some")
    assert not seen[0].exists()


def test_drills_are_chosen_by_name() -> None:
    assert chosen(()) == DRILLS
    assert [d.name for d in chosen(("flood", "frames-lost"))] == ["flood", "frames-lost"]
    assert len({d.name for d in DRILLS}) == len(DRILLS)
    with pytest.raises(ConfigError, match="Did you mean 'source-lost'"):
        chosen(("source-lots",))


def test_the_wall_clock_is_led_and_put_back() -> None:
    import time

    before = (time.time, time.time_ns)
    real_s = time.time()
    with wall_clock() as ahead_s:
        ahead_s.append(3600)
        assert time.time() - real_s > 3599
        assert time.time_ns() / 1e9 - real_s > 3599
    assert (time.time, time.time_ns) == before


@pytest.mark.slow
def test_a_clock_that_drifts_is_followed() -> None:
    worst_ms, gaps = simulated_drift()
    assert worst_ms < 5
    assert gaps == 0
