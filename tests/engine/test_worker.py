"""Worker and intake over the real rings and join: every frame is accounted for, failures are contained."""

from __future__ import annotations

import time

import numpy as np
import pytest

from stream_avs.benchmarks.stand_ins import SAMPLE_RATE_HZ, DiscModel
from stream_avs.clock import monotonic_ns
from stream_avs.config import OverloadConfig, Policy, WindowConfig
from stream_avs.engine.intake import Intake
from stream_avs.engine.overload import Ladder
from stream_avs.engine.session import Session
from stream_avs.engine.worker import STEP_ERRORS_IN_A_ROW, Worker
from stream_avs.errors import EngineError, SourceError
from stream_avs.ledger import Ledger
from stream_avs.models.base import Decision, Stages
from stream_avs.timing.audio_ring import AudioRing
from stream_avs.timing.frame_ring import FrameRing
from stream_avs.timing.join import Join
from stream_avs.types import NS_PER_S, AudioBlock, Event, MaskResult, Window

FRAME_NS = NS_PER_S // 25
IMAGE = np.zeros((24, 32, 3), np.uint8)


class Path:
    """Intake, join, session and worker around one model."""

    def __init__(
        self,
        model: DiscModel,
        policy: Policy,
        slots: int = 16,
        ladder: Ladder | None = None,
        small: DiscModel | None = None,
    ) -> None:
        self.ledger = Ledger()
        frames = FrameRing(slots, self.ledger)
        audio = AudioRing(SAMPLE_RATE_HZ, 10.0, self.ledger)
        self.join = Join(
            frames,
            audio,
            WindowConfig(frame_slots=slots),
            context_s=model.context_s,
            policy=policy,
            clock=monotonic_ns,
            ledger=self.ledger,
        )
        self.intake = Intake(frames, audio, self.join, policy, self.ledger)
        self.results: list[MaskResult] = []
        session = Session(model, stream="cam0", ledger=self.ledger)
        self.worker = Worker(
            self.intake, self.join, session, self.results.append, self.ledger,
            ladder=ladder, models=(model, small or model),
        )  # fmt: skip

    def feed(self, n: int, start_ns: int, first: int = 0) -> None:
        """Put in frames number first..first+n-1, each after the audio that ends at its stamp."""
        for i in range(first, first + n):
            samples = np.full((SAMPLE_RATE_HZ // 25, 1), 0.1, np.float32)
            block_ns = start_ns + i * FRAME_NS
            self.intake.audio(AudioBlock(samples=samples, stamp_ns=block_ns, sample_rate_hz=SAMPLE_RATE_HZ))
            self.intake.frame(IMAGE, block_ns + FRAME_NS, monotonic_ns())


class Slow(DiscModel):
    def step(self, window: Window, state: int, stages: Stages) -> tuple[Decision, int]:
        time.sleep(0.03)
        return super().step(window, state, stages)


class Failing(DiscModel):
    def __init__(self, failures: int) -> None:
        super().__init__()
        self.left = failures

    def step(self, window: Window, state: int, stages: Stages) -> tuple[Decision, int]:
        self.left -= 1
        if self.left >= 0:
            raise RuntimeError("numbers ran out")
        return super().step(window, state, stages)


def test_every_makes_a_mask_of_each_frame_in_order_however_slow_the_model() -> None:
    path = Path(Slow(), Policy.EVERY, slots=8)
    path.worker.start()
    start_ns = monotonic_ns()
    path.feed(40, start_ns)  # blocks whenever eight frames wait
    path.intake.ended()
    assert path.worker.done.wait(10)
    assert path.worker.error is None
    assert [r.stamp_ns for r in path.results] == [start_ns + (i + 1) * FRAME_NS for i in range(40)]
    assert [r.window_seq for r in path.results] == list(range(40))
    assert path.ledger.dropped_frames() == 0


def test_freshest_never_blocks_and_counts_what_it_passes_over() -> None:
    path = Path(Slow(), Policy.FRESHEST, slots=8)
    path.worker.start()
    before = time.monotonic()
    path.feed(100, monotonic_ns())
    assert time.monotonic() - before < 1.0
    path.intake.ended()
    assert path.worker.done.wait(10)
    assert 0 < len(path.results) < 100
    assert len(path.results) + path.ledger.dropped_frames() == path.intake.captured == 100
    assert sum(r.dropped for r in path.results) <= path.ledger.dropped_frames()


def test_loop_under_every_resets_and_keeps_the_audio_of_frames_before_it() -> None:
    path = Path(DiscModel(), Policy.EVERY)
    path.worker.start()
    start_ns = monotonic_ns()
    path.feed(30, start_ns)
    path.intake.discontinuity("loop", start_ns + 30 * FRAME_NS)
    path.feed(30, start_ns, first=40)
    path.intake.ended()
    assert path.worker.done.wait(10)
    resets = {r.window_seq: r.reset_reason for r in path.results if r.reset_reason}
    assert len(path.results) == 60
    assert "loop" in resets.values()
    assert path.ledger.counts()[Event.DISCONTINUITY] == 1
    assert path.ledger.counts().get(Event.AUDIO_LATE, 0) == 0


def test_a_failed_step_is_counted_and_the_stream_goes_on_with_a_reset() -> None:
    path = Path(Failing(3), Policy.EVERY)
    path.worker.start()
    path.feed(60, monotonic_ns())
    path.intake.ended()
    assert path.worker.done.wait(10)
    assert path.worker.error is None
    assert path.ledger.counts()[Event.STEP_ERROR] == 3
    assert len(path.results) == 57
    assert "step_error" in {r.reset_reason for r in path.results}


def test_a_model_that_always_fails_ends_the_stream_with_an_error() -> None:
    path = Path(Failing(10_000), Policy.EVERY, slots=40)
    path.worker.start()
    path.feed(30, monotonic_ns())  # fits into the ring: nobody waits for room
    assert path.worker.done.wait(10)
    assert isinstance(path.worker.error, EngineError)
    assert path.ledger.counts() == {Event.STEP_ERROR: STEP_ERRORS_IN_A_ROW}
    assert f"{STEP_ERRORS_IN_A_ROW} windows in a row" in str(path.worker.error)
    assert "numbers ran out" in str(path.worker.error)


def test_stop_frees_a_source_that_waits_for_room_and_counts_what_waited() -> None:
    path = Path(DiscModel(), Policy.EVERY, slots=8)  # the worker is never started: nothing is served
    path.feed(8, monotonic_ns())
    path.intake.stop()
    before = time.monotonic()
    path.feed(5, monotonic_ns(), first=8)
    assert time.monotonic() - before < 1.0
    assert path.intake.captured == 8
    assert path.join.abandon() == path.ledger.counts()[Event.SHUTDOWN] == 8


def test_under_overload_masks_are_skipped_then_held_and_every_frame_is_accounted_for() -> None:
    ladder = Ladder(OverloadConfig(age_budget_s=0.01, judge_s=0.1, climb_s=60))
    path = Path(Slow(), Policy.FRESHEST, ladder=ladder)
    path.worker.start()
    assert path.worker.rung == "full"
    for i in range(80):
        path.feed(1, monotonic_ns() - (i + 1) * FRAME_NS, first=i)
        time.sleep(0.015)
    path.intake.ended()
    assert path.worker.done.wait(10)
    assert path.worker.rung == "hold"
    states = [r.state for r in path.results]
    assert states.count("stale") > 5
    assert path.ledger.counts()[Event.SKIPPED] >= 1
    assert path.ledger.counts()[Event.OVERLOAD] == 2
    assert len(path.results) + path.ledger.dropped_frames() == path.intake.captured == 80


def test_under_overload_the_model_with_the_smaller_input_takes_over_from_cleared_state() -> None:
    small = DiscModel()
    small.id = "small-00000000"
    ladder = Ladder(OverloadConfig(age_budget_s=0.025, judge_s=0.1, climb_s=60), smaller=True)
    path = Path(Slow(), Policy.FRESHEST, ladder=ladder, small=small)
    path.worker.start()
    for i in range(60):
        path.feed(1, monotonic_ns() - (i + 1) * FRAME_NS, first=i)
        time.sleep(0.015)
    path.intake.ended()
    assert path.worker.done.wait(10)
    ids = [r.model_id for r in path.results]
    assert ids[0] == DiscModel.id
    assert "small-00000000" in ids
    first = path.results[ids.index("small-00000000")]
    assert (first.state, first.reset_reason) == ("reset", "input_size")


def test_the_first_error_of_a_source_is_kept() -> None:
    path = Path(DiscModel(), Policy.FRESHEST)
    path.intake.ended(SourceError("the cable is out"))
    path.intake.ended(SourceError("later"))
    assert str(path.intake.error) == "the cable is out"


def test_frames_go_on_without_audio_after_the_wait_and_say_so() -> None:
    path = Path(DiscModel(), Policy.FRESHEST)
    path.worker.start()
    path.intake.frame(IMAGE, monotonic_ns(), monotonic_ns())
    deadline = time.monotonic() + 5
    while not path.results and time.monotonic() < deadline:
        time.sleep(0.01)
    path.worker.stop()
    assert [r.state for r in path.results] == ["no_audio"]
    assert path.ledger.counts()[Event.AUDIO_LATE] == 1
    assert not path.results[0].mask.any()


@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 16_000])
def test_audio_of_any_rate_reaches_the_window_in_time(rate_hz: int) -> None:
    path = Path(DiscModel(), Policy.EVERY)
    start_ns = monotonic_ns()
    step = rate_hz // 25
    for i in range(75):
        samples = np.full((step, 2), 0.25, np.float32)
        block_ns = start_ns + i * FRAME_NS
        path.intake.audio(AudioBlock(samples=samples, stamp_ns=block_ns, sample_rate_hz=rate_hz))
    path.intake.frame(IMAGE, start_ns + 70 * FRAME_NS, monotonic_ns())
    path.worker.start()
    path.intake.ended()
    assert path.worker.done.wait(5)
    assert path.results[0].state == "reset"
    assert path.results[0].audio_level_dbfs == pytest.approx(-12.04, abs=0.05)
