"""Session: what is carried, when it is cleared, what a result says. A small model stands in for a network."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_avs.engine.session import MIN_COVERAGE, Session, level_dbfs, resize_transform
from stream_avs.errors import StepError
from stream_avs.ledger import Ledger
from stream_avs.models.base import Decision, Stages
from stream_avs.types import Event, Frame, MaskResult, ResultState, StampSource, Window

S_NS = 1_000_000_000
MS_NS = 1_000_000


class Clock:
    """Advances only when told."""

    def __init__(self) -> None:
        self.now_ns = 100 * S_NS

    def __call__(self) -> int:
        return self.now_ns


@dataclass
class Counting:
    """Carries the number of windows since the last reset; puts it into the mask's corner."""

    clock: Clock
    error: Exception | None = None
    decision: Decision | None = None
    seen_audio: list[np.ndarray] = field(default_factory=list)
    id: str = "counting-00000000"
    labels: dict[int, str] = field(default_factory=lambda: {n: f"class {n}" for n in range(1, 100)})
    sample_rate_hz: int = 1000
    context_s: float = 0.1
    frames: int = 2
    input_px: int = 32
    mask_shape: tuple[int, int] = (4, 8)

    def initial_state(self) -> int:
        return 0

    def step(self, window: Window, state: int, stages: Stages) -> tuple[Decision, int]:
        self.seen_audio.append(window.audio)
        with stages.measure("hear"):
            self.clock.now_ns += 2 * MS_NS
        with stages.measure("see"):
            self.clock.now_ns += 5 * MS_NS
        if self.error:
            raise self.error
        count = state + 1
        mask = np.zeros(self.mask_shape, np.uint8)
        mask[0, 0] = count
        decision = Decision(mask=mask, confidence=mask, scores={count: 0.5}, sounding_score=0.7)
        return self.decision or decision, count


@dataclass
class Bench:
    """A session with its model, clock and ledger."""

    clock: Clock = field(default_factory=Clock)
    ledger: Ledger = field(default_factory=Ledger)

    def __post_init__(self) -> None:
        self.model = Counting(self.clock)
        self.session = Session(
            self.model,
            stream="cam0",
            ledger=self.ledger,
            clock=self.clock,
            timeshift_cam_mic_ns=-7,
            unix_offset=lambda: 42,
        )

    def step(self, **changes: object) -> MaskResult:
        return self.session.step(window(**changes))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def window(
    stamp_ns: int = 99 * S_NS,
    shape: tuple[int, int] = (48, 64),
    coverage: float = 1.0,
    reset: str = "",
    audio: np.ndarray | None = None,
    seq: int = 5,
) -> Window:
    frame = Frame(
        image=np.zeros((*shape, 3), np.uint8),
        stamp_ns=stamp_ns,
        arrival_ns=stamp_ns + 30 * MS_NS,
        seq=seq,
        frame_id="left",
        stamp_source=StampSource.SYNTHETIC,
    )
    return Window(
        frames=(frame, frame),
        audio=np.full((2, 100), 0.1, np.float32) if audio is None else audio,
        audio_coverage=np.array([1.0, coverage], np.float32),
        sample_rate_hz=1000,
        distinct=1,
        reset=bool(reset),
        reset_reason=reset,
    )


def carried(result: MaskResult) -> int:
    return int(result.mask[0, 0])


def test_state_is_carried_from_window_to_window(bench: Bench) -> None:
    results = [bench.step(stamp_ns=k * S_NS) for k in range(3)]
    assert [carried(r) for r in results] == [1, 2, 3]
    assert [r.window_seq for r in results] == [0, 1, 2]
    assert [r.state for r in results] == [ResultState.RESET, ResultState.OK, ResultState.OK]
    assert [r.reset_reason for r in results] == ["start", "", ""]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"reset": "gap"}, "gap"),
        ({"shape": (64, 48)}, "geometry"),
        ({"stamp_ns": 98 * S_NS}, "backwards"),
        ({"shape": (64, 48), "reset": "seek"}, "seek"),
    ],
)
def test_state_is_cleared_and_the_result_says_why(
    bench: Bench, changes: dict[str, object], reason: str
) -> None:
    bench.step()
    bench.step()
    result = bench.step(**changes)
    assert (carried(result), result.state, result.reset_reason) == (1, ResultState.RESET, reason)
    assert bench.session.reset_counts == {"start": 1, reason: 1}
    assert carried(bench.step(**{k: v for k, v in changes.items() if k != "reset"})) == 2


def test_the_same_stamp_again_is_no_reset(bench: Bench) -> None:
    bench.step()
    assert bench.step().state is ResultState.OK


def test_a_reset_on_request_happens_once(bench: Bench) -> None:
    bench.step()
    bench.session.reset("operator")
    assert bench.step().reset_reason == "operator"
    assert bench.step().state is ResultState.OK
    assert bench.session.reset_counts == {"start": 1, "operator": 1}


def test_missing_audio_gives_an_empty_mask_and_keeps_the_state(bench: Bench) -> None:
    bench.step()
    result = bench.step(coverage=MIN_COVERAGE - 0.01)
    assert result.state is ResultState.NO_AUDIO
    assert not result.mask.any()
    assert result.mask.shape == bench.model.mask_shape
    assert result.confidence is not None
    assert not result.confidence.any()
    assert (result.sounding, result.sounding_score, result.reset_reason) == ((), 0.0, "")
    assert carried(bench.step(coverage=MIN_COVERAGE)) == 2


def test_a_reset_without_audio_is_told_by_the_first_result_that_has_some(bench: Bench) -> None:
    assert bench.step(coverage=0.0).state is ResultState.NO_AUDIO
    result = bench.step()
    assert (result.state, result.reset_reason, carried(result)) == (ResultState.RESET, "start", 1)
    bench.step(coverage=0.0, reset="gap")
    result = bench.step()
    assert (result.state, result.reset_reason, carried(result)) == (ResultState.RESET, "gap", 1)


def test_samples_that_are_not_finite_are_missing_silent_and_counted_once(bench: Bench) -> None:
    audio = np.full((2, 100), 0.1, np.float32)
    audio[1, :40] = np.nan
    audio[0, 3] = np.inf
    result = bench.step(audio=audio)
    assert result.state is ResultState.RESET
    heard = bench.model.seen_audio[-1]
    assert np.isfinite(heard).all()
    assert not heard[1, :40].any()
    assert (heard[1, 40:] == np.float32(0.1)).all()
    assert result.audio_level_dbfs == pytest.approx(-20 + 10 * np.log10(0.6), abs=1e-3)
    audio[1, :76] = np.nan
    assert bench.step(audio=audio).state is ResultState.NO_AUDIO
    assert bench.ledger.counts() == {Event.AUDIO_GAP: 1}


def test_every_field_of_a_result(bench: Bench) -> None:
    bench.ledger.record(Event.SUPERSEDED, 0)
    result = bench.step()
    assert (result.stream, result.seq, result.frame_id) == ("cam0", 5, "left")
    assert (result.stamp_ns, result.arrival_ns) == (99 * S_NS, 99 * S_NS + 30 * MS_NS)
    assert result.publish_ns == 100 * S_NS + 7 * MS_NS
    assert result.unix_offset_ns == 42
    assert result.timeshift_cam_mic_ns == -7
    assert result.source_size == (64, 48)
    assert result.transform == (8.0, 0.0, 3.5, 0.0, 12.0, 5.5)
    assert result.labels == bench.model.labels
    assert result.model_id == "counting-00000000"
    assert result.sounding_score == 0.7
    assert result.audio_level_dbfs == pytest.approx(-20, abs=1e-3)
    assert [(s.class_id, s.name, s.score, s.area) for s in result.sounding] == [(1, "class 1", 0.5, 1 / 32)]


def test_latency_is_told_stage_by_stage(bench: Bench) -> None:
    result = bench.step()
    assert result.latency_ms == pytest.approx(
        {"capture": 30.0, "wait": 970.0, "hear": 2.0, "see": 5.0, "total": 1007.0}
    )
    assert list(result.latency_ms) == ["capture", "wait", "hear", "see", "total"]
    assert result.latency_ms["total"] == pytest.approx(result.age_ms)


def test_dropped_counts_frames_since_the_result_before(bench: Bench) -> None:
    bench.step()
    bench.ledger.record(Event.SUPERSEDED, 0, count=2)
    bench.ledger.record(Event.AUDIO_GAP, 0)
    bench.ledger.record(Event.STALE, 0)
    assert bench.step().dropped == 3
    assert bench.step().dropped == 0


def test_a_held_mask_is_the_last_one_marked_stale(bench: Bench) -> None:
    mask = np.full((4, 8), 7, np.uint8)
    bench.model.decision = Decision(mask=mask, confidence=mask, scores={7: 0.9}, sounding_score=0.8)
    bench.step(seq=5)
    held = bench.session.hold(window(seq=6))
    assert (held.state, held.seq, held.window_seq) == (ResultState.STALE, 6, 1)
    assert (held.mask == 7).all()
    assert [s.class_id for s in held.sounding] == [7]


def test_nothing_is_held_across_a_reset_and_the_reset_is_told_later(bench: Bench) -> None:
    bench.model.decision = Decision(
        mask=np.full((4, 8), 7, np.uint8), confidence=np.full((4, 8), 9, np.uint8), scores={7: 0.9},
        sounding_score=0.8,
    )  # fmt: skip
    bench.step()
    held = bench.session.hold(window(reset="seek"))
    assert held.state is ResultState.STALE
    assert not held.mask.any()
    assert bench.step().reset_reason == "seek"


def test_a_skipped_window_does_not_lose_its_reset(bench: Bench) -> None:
    bench.step()
    bench.session.skip(window(reset="gap"))
    result = bench.step()
    assert (result.state, result.reset_reason, carried(result)) == (ResultState.RESET, "gap", 1)


def test_another_model_starts_from_cleared_state_and_says_so(bench: Bench) -> None:
    bench.step()
    other = Counting(bench.clock)
    bench.session.use(other, "input_size")
    result = bench.step()
    assert (result.state, result.reset_reason, carried(result)) == (ResultState.RESET, "input_size", 1)
    bench.session.use(other, "input_size")
    assert bench.step().state is ResultState.OK


def test_several_classes_are_listed_best_first(bench: Bench) -> None:
    mask = np.zeros((4, 8), np.uint8)
    mask[0], mask[1, :4], mask[2, :2] = 3, 7, 9
    bench.model.decision = Decision(
        mask=mask, confidence=mask, scores={3: 0.6, 7: 0.9, 9: 0.6, 11: 1.0}, sounding_score=0.9
    )
    found = [(s.class_id, s.score, s.area) for s in bench.step().sounding]
    assert found == [(7, 0.9, 4 / 32), (3, 0.6, 8 / 32), (9, 0.6, 2 / 32)]


def test_a_failing_model_is_named_with_the_frame_and_the_state_is_cleared(bench: Bench) -> None:
    bench.step()
    bench.model.error = RuntimeError("shapes differ")
    with pytest.raises(StepError, match=r"counting-00000000 failed on frame 5 .*RuntimeError: shapes differ"):
        bench.step()
    bench.model.error = None
    result = bench.step()
    assert (carried(result), result.reset_reason, result.window_seq) == (1, "step_error", 1)


@pytest.mark.parametrize(
    ("mask", "scores", "found"),
    [
        (np.zeros((4, 8), np.int64), {}, "int64"),
        (np.zeros((8, 4), np.uint8), {}, r"\(8, 4\)"),
        (np.full((4, 8), 200, np.uint8), {200: 1.0}, r"\[200\] without label"),
        (np.full((4, 8), 7, np.uint8), {}, r"\[7\] without label or score"),
    ],
)
def test_a_model_that_breaks_its_promise_is_a_failed_step(
    bench: Bench, mask: np.ndarray, scores: dict[int, float], found: str
) -> None:
    empty = np.zeros((4, 8), np.uint8)
    bench.model.decision = Decision(mask=mask, confidence=empty, scores=scores, sounding_score=0.0)
    with pytest.raises(StepError, match=found):
        bench.step()


def test_sessions_of_one_model_do_not_share_state(bench: Bench) -> None:
    other = Session(bench.model, stream="cam1", ledger=Ledger(), clock=bench.clock)
    bench.step()
    assert carried(bench.step()) == 2
    assert carried(other.step(window())) == 1


@given(
    mask_h=st.integers(1, 512),
    mask_w=st.integers(1, 512),
    height=st.integers(1, 4096),
    width=st.integers(1, 4096),
)
def test_the_transform_maps_borders_onto_borders(mask_h: int, mask_w: int, height: int, width: int) -> None:
    a, b, c, d, e, f = resize_transform((mask_h, mask_w), (height, width))
    assert (b, d) == (0, 0)
    assert a * -0.5 + c == pytest.approx(-0.5, abs=1e-6)
    assert e * -0.5 + f == pytest.approx(-0.5, abs=1e-6)
    assert a * (mask_w - 0.5) + c == pytest.approx(width - 0.5, abs=1e-6)
    assert e * (mask_h - 0.5) + f == pytest.approx(height - 0.5, abs=1e-6)


@pytest.mark.parametrize(
    ("samples", "level"),
    [
        (np.ones(10), 0.0),
        (np.full(10, 2.0), 0.0),
        (np.full(10, 0.01), -40.0),
        (np.zeros(10), -120.0),
        (np.zeros(0), -120.0),
        (np.full(10, 1e-9), -120.0),
    ],
)
def test_levels(samples: np.ndarray, level: float) -> None:
    assert level_dbfs(samples.astype(np.float32)) == pytest.approx(level, abs=1e-4)


def test_state_that_was_not_stepped_for_too_long_is_cleared() -> None:
    """Pictures go on while a microphone is away; what the state remembers grows old meanwhile."""
    bench = Bench()
    bench.session = Session(
        bench.model, stream="cam0", ledger=bench.ledger, clock=bench.clock, gap_ns=2 * S_NS
    )
    said = []
    for tenth in range(80):
        coverage = 0.0 if 10 <= tenth < 25 or 35 <= tenth < 60 else 1.0  # away for 1.5 s, then for 2.5 s
        result = bench.step(stamp_ns=(1000 + tenth) * S_NS // 10, coverage=coverage)
        said.append(result.reset_reason)
    assert {k: reason for k, reason in enumerate(said) if reason} == {0: "start", 60: "gap"}
    assert bench.session.reset_counts == {"start": 1, "gap": 1}


def test_a_successor_goes_on_where_the_session_was() -> None:
    bench = Bench()
    before = [bench.step(stamp_ns=(k + 1) * S_NS) for k in range(3)]
    bench.ledger.record(Event.STALE, 0)
    old, bench.session = bench.session, bench.session.successor(Counting(bench.clock), "restart")
    old.step(window(stamp_ns=50 * S_NS))  # whatever the old one still does
    after = bench.step(stamp_ns=4 * S_NS)
    assert [r.window_seq for r in (*before, after)] == [0, 1, 2, 3]
    assert (after.state, after.reset_reason, after.dropped) == ("reset", "restart", 1)
    assert bench.session.reset_counts == {"start": 1, "restart": 1}
    assert (after.unix_offset_ns, after.timeshift_cam_mic_ns) == (42, -7)
