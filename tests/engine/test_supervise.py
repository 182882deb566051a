"""The supervisor over the real rings, join, session and workers: models that die, hang and go bad."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from stream_avs.benchmarks.stand_ins import DiscModel, SteadySource
from stream_avs.capture.base import Source
from stream_avs.config import RunConfig, SuperviseConfig
from stream_avs.engine import supervise
from stream_avs.errors import EngineError, PublishError
from stream_avs.models.base import Decision, Stages
from stream_avs.pipeline import Pipeline
from stream_avs.types import Event, MaskResult, ResultState, Window

QUICK = SuperviseConfig(first_s=0.01, most_s=0.05, hang_s=0.3)
Fault = Callable[[Decision], Decision]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "LEAVE_S", 0.2)


class FaultyModel(DiscModel):
    """Steps until `fault` is set, then does what it says, for one step or for all.

    Hears so little that it has its sound at once.
    """

    context_s = 0.2

    def __init__(self, name: str = "first", fault: Fault | None = None) -> None:
        super().__init__()
        self.id = f"{name}-00000000"
        self.fault = fault
        self.for_ever = fault is not None
        self.steps = 0

    def step(self, window: Window, state: int, stages: Stages) -> tuple[Decision, int]:
        decision, state = super().step(window, state, stages)
        fault = self.fault if window.newest.stamp_ns else None  # not while it warms up
        if not self.for_ever:
            self.fault = None
        self.steps += 1
        return (fault(decision) if fault else decision), state


class Stream:
    """A running pipeline, its results, and the models that were built for it."""

    def __init__(
        self, config: SuperviseConfig, source: Source | None, listener: object, rebuilt: Fault | None
    ):
        self.results: list[MaskResult] = []
        self.model = FaultyModel()
        self.built: list[FaultyModel] = []
        self._rebuilt = rebuilt
        run = RunConfig(source="steady", supervise=config, status=False)
        listeners = (self.results.append, *((listener,) if listener else ()))
        source = source or SteadySource(32, 24, 50.0, 60.0)
        self.pipeline = Pipeline(run, source, self.model, listeners, load=self._load)

    def _load(self) -> tuple[FaultyModel, FaultyModel]:
        model = FaultyModel("rebuilt", self._rebuilt)
        self.built.append(model)
        return model, model

    def until(self, condition: Callable[[], object], timeout_s: float = 10.0) -> None:
        end_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end_s, (self.pipeline.snapshot(), self.pipeline.ledger.recent())
            time.sleep(0.005)

    def error(self, timeout_s: float = 10.0) -> BaseException:
        assert self.pipeline.supervisor is not None
        assert self.pipeline.supervisor.done.wait(timeout_s)
        assert self.pipeline.supervisor.error is not None
        return self.pipeline.supervisor.error

    @property
    def counts(self) -> dict[Event, int]:
        return self.pipeline.ledger.counts()

    def check_whole(self) -> None:
        """No hole in the numbers, no frame twice, none unaccounted for; one reset says "restart"."""
        assert [r.window_seq for r in self.results] == list(range(len(self.results)))
        stamps = [r.stamp_ns for r in self.results]
        assert stamps == sorted(set(stamps))
        dropped = self.pipeline.ledger.dropped_frames()
        assert len(self.results) + dropped == self.pipeline.captured
        restarted = [r for r in self.results if r.reset_reason == "restart"]
        assert [r.state for r in restarted] == [ResultState.RESET]


@contextmanager
def running(
    config: SuperviseConfig = QUICK,
    source: Source | None = None,
    listener: Callable[[MaskResult], None] | None = None,
    rebuilt: Fault | None = None,
) -> Iterator[Stream]:
    stream = Stream(config, source, listener, rebuilt)
    with stream.pipeline:
        stream.pipeline.start()
        stream.until(lambda: stream.results and stream.results[-1].state is ResultState.OK)
        yield stream


def not_a_number(decision: Decision) -> Decision:
    return replace(decision, sounding_score=math.nan)


def not_a_score(decision: Decision) -> Decision:
    return replace(decision, scores=dict.fromkeys(decision.scores, math.inf))


def device_lost(decision: Decision) -> Decision:
    raise torch.AcceleratorError("CUDA error: unspecified launch failure")


@pytest.mark.parametrize("fault", [not_a_number, not_a_score, device_lost])
def test_a_poisoned_engine_is_rebuilt_and_its_numbers_are_never_published(fault: Fault) -> None:
    with running() as stream:
        before = len(stream.results)
        stream.model.fault = fault
        stream.until(lambda: len(stream.results) > before + 10)
    assert stream.counts[Event.POISONED] == stream.counts[Event.RESTART] == 1
    assert len(stream.built) == 1
    assert {r.model_id for r in stream.results} == {"first-00000000", "rebuilt-00000000"}
    assert all(math.isfinite(r.sounding_score) for r in stream.results)
    stream.check_whole()


def test_a_model_that_fails_again_and_again_is_rebuilt() -> None:
    with running() as stream:

        def fail(decision: Decision) -> Decision:
            raise ValueError("wrong shape")

        stream.model.for_ever, stream.model.fault = True, fail
        stream.until(lambda: stream.results[-1].model_id.startswith("rebuilt"))
    assert stream.counts[Event.STEP_ERROR] == 10
    assert stream.counts[Event.RESTART] == 1


def test_a_step_that_hangs_is_left_behind_and_never_publishes() -> None:
    come_back = threading.Event()
    back = threading.Event()

    def hang(decision: Decision) -> Decision:
        come_back.wait(20)
        back.set()
        return decision

    with running() as stream:
        stream.model.fault = hang
        stream.until(lambda: stream.built and stream.results[-1].model_id.startswith("rebuilt"))
        come_back.set()
        assert back.wait(5)
        late = len(stream.results)
        stream.until(lambda: len(stream.results) > late + 5)
    assert stream.counts[Event.WORKER_LOST] == 1
    first = next(i for i, r in enumerate(stream.results) if r.model_id.startswith("rebuilt"))
    assert all(r.model_id.startswith("rebuilt") for r in stream.results[first:])
    stream.check_whole()


def test_many_steps_that_hang_end_the_stream() -> None:
    release = threading.Event()

    def hang(decision: Decision) -> Decision:
        release.wait(20)
        return decision

    with running(replace(QUICK, hang_s=0.1), rebuilt=hang) as stream:
        stream.model.fault = hang
        error = stream.error()
        release.set()
    assert isinstance(error, EngineError)
    assert "3 steps hang" in str(error)
    assert error.exit_code == 10


def test_a_worker_that_dies_of_a_bug_keeps_its_model() -> None:
    fuse = [False]

    def listener(result: MaskResult) -> None:
        if fuse[0]:
            fuse[0] = False
            raise KeyError("a bug")

    with running(listener=listener) as stream:
        fuse[0] = True
        stream.until(lambda: any(r.reset_reason == "restart" for r in stream.results))
    assert not stream.built
    assert stream.counts[Event.RESTART] == 1
    assert {r.model_id for r in stream.results} == {"first-00000000"}


def test_a_known_error_of_a_listener_ends_the_stream_at_once() -> None:
    fuse = [False]

    def listener(result: MaskResult) -> None:
        if fuse[0]:
            raise PublishError("the disk is full")

    with running(listener=listener) as stream:
        fuse[0] = True
        assert str(stream.error()) == "the disk is full"
    assert Event.RESTART not in stream.counts


def test_a_listener_that_hangs_ends_the_stream_for_a_second_publisher_must_not_run() -> None:
    release, fuse = threading.Event(), [False]

    def listener(result: MaskResult) -> None:
        if fuse[0]:
            release.wait(30)

    with running(replace(QUICK, hang_s=0.1), listener=listener) as stream:
        fuse[0] = True
        error = stream.error()
        release.set()
    assert isinstance(error, EngineError)
    assert "hands on a result" in str(error)


@pytest.mark.parametrize("restarts", [0, 2])
def test_restarts_that_do_not_help_end_the_stream_as_configured(restarts: int) -> None:
    with running(replace(QUICK, restarts=restarts), rebuilt=not_a_number) as stream:
        stream.model.fault = not_a_number
        if restarts == 0:
            stream.until(lambda: len(stream.built) > 6)
            return
        error = stream.error()
    assert isinstance(error, EngineError)
    assert "2 restarts within 60 s did not help" in str(error)
    assert stream.counts[Event.POISONED] == 3
    assert len(stream.built) == 2


def test_an_engine_that_cannot_be_built_is_tried_again() -> None:
    tries = []

    with running() as stream:
        load = stream._load

        def fails_twice() -> tuple[FaultyModel, FaultyModel]:
            tries.append(1)
            if len(tries) < 3:
                raise torch.AcceleratorError("CUDA error: device not ready")
            return load()

        assert stream.pipeline.supervisor is not None
        stream.pipeline.supervisor._load = fails_twice
        stream.pipeline.supervisor.restart("drill", rebuild=True)
        stream.until(lambda: stream.results[-1].model_id.startswith("rebuilt"))
    assert len(tries) == 3
    assert stream.counts[Event.RESTART] == 1


@pytest.mark.parametrize("rebuild", [False, True])
def test_asked_to_restart_it_goes_on_with_a_reset_result(rebuild: bool) -> None:
    with running() as stream:
        supervisor = stream.pipeline.supervisor
        assert supervisor is not None
        begun_s = time.monotonic()
        supervisor.restart("drill", rebuild=rebuild)
        stream.until(lambda: any(r.reset_reason == "restart" for r in stream.results))
        took_s = time.monotonic() - begun_s
        moves = supervisor.moves
        stream.until(lambda: supervisor.moves > moves)
    assert took_s < 3.0
    assert supervisor.restarts == 1
    assert len(stream.built) == int(rebuild)
    stream.check_whole()


def test_it_stops_in_time_while_a_step_hangs() -> None:
    release = threading.Event()

    def hang(decision: Decision) -> Decision:
        release.wait(20)
        return decision

    with running(replace(QUICK, hang_s=30.0)) as stream:
        stream.model.fault = hang
        stream.until(lambda: stream.model.fault is None)
        begun_s = time.monotonic()
        stream.pipeline.stop()
        took_s = time.monotonic() - begun_s
        release.set()
    assert took_s < 4.0
    assert stream.counts[Event.WORKER_LOST] == 1
    assert stream.pipeline.wait(1)


def test_it_does_not_stop_while_a_result_is_handed_on() -> None:
    begun, handed_on, fuse = threading.Event(), threading.Event(), [False]

    def listener(result: MaskResult) -> None:
        if fuse[0]:
            begun.set()
            time.sleep(0.5)
            handed_on.set()

    with running(listener=listener) as stream:
        fuse[0] = True
        assert begun.wait(5)
        assert stream.pipeline.supervisor is not None
        stream.pipeline.supervisor.stop(timeout_s=0.1)
        assert handed_on.is_set(), "now it may be closed"


def test_no_thread_is_left_after_many_restarts() -> None:
    with running(replace(QUICK, restarts=0)) as stream:
        before = threading.active_count()
        for k in range(4):
            assert stream.pipeline.supervisor is not None
            stream.pipeline.supervisor.restart("drill")
            stream.until(lambda k=k: stream.pipeline.supervisor.restarts == k + 1)
        assert threading.active_count() == before
