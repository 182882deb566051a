"""The whole live path of one stream, wired: source -> rings -> join -> session -> whoever listens.

source ──► Intake ──► FrameRing, AudioRing ──► Join ──► Worker(Session) ──► on_result
                                                           Supervisor
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import TracebackType

from stream_avs.capture.base import Source, SourceInfo
from stream_avs.capture.tap import Tap
from stream_avs.clock import monotonic_ns
from stream_avs.config import Pace, Policy, RunConfig
from stream_avs.engine.intake import Intake
from stream_avs.engine.load import Models
from stream_avs.engine.overload import Ladder
from stream_avs.engine.session import Session
from stream_avs.engine.statistics import Snapshot, Statistics
from stream_avs.engine.supervise import Supervisor
from stream_avs.engine.warm_up import warm_up
from stream_avs.engine.worker import Worker
from stream_avs.errors import ConfigError
from stream_avs.ledger import Ledger
from stream_avs.models.base import AnyModel
from stream_avs.timing.audio_ring import AudioRing
from stream_avs.timing.frame_ring import FrameRing
from stream_avs.timing.join import Join
from stream_avs.timing.wall_clock import WallClock
from stream_avs.types import NS_PER_MS, NS_PER_S, MaskResult

ResultListener = Callable[[MaskResult], None]

SLOW_STEPS = 20
"""A step hangs no sooner than so many times the length of one of the warm-up."""


class Pipeline:
    """One stream from source to results; a context manager.

    Args:
        config: the session's settings.
        source: opened by `start`.
        model: shared with other pipelines if need be.
        listeners: called in order with each result on the worker thread; must not block.
        tap: wraps the sink the source writes to, e.g. to record what was captured.
        ledger: where events are counted; shared with publishers so that theirs are seen too.
        small_model: the same network with a smaller input, for the overload ladder; None for none.
        load: builds both networks anew when they are broken (see `engine.load`); None
            goes on with these from cleared state.

    Raises:
        ConfigError: `every` was asked of a live source.
    """

    def __init__(
        self,
        config: RunConfig,
        source: Source,
        model: AnyModel,
        listeners: tuple[ResultListener, ...] = (),
        tap: Tap | None = None,
        ledger: Ledger | None = None,
        small_model: AnyModel | None = None,
        load: Callable[[], Models] | None = None,
    ) -> None:
        self.ledger = ledger if ledger is not None else Ledger()
        self.statistics = Statistics()
        self._config = config
        self._source = source
        self._listeners = listeners
        self._tap = tap
        self._frames = FrameRing(config.window.frame_slots, self.ledger)
        self._audio = AudioRing(model.sample_rate_hz, config.window.audio_buffer_s, self.ledger)
        self._first_session = Session(
            model,
            stream=config.name,
            ledger=self.ledger,
            timeshift_cam_mic_ns=round(config.window.timeshift_cam_mic_s * NS_PER_S),
            unix_offset=WallClock(self.ledger),
            gap_ns=round(config.window.gap_s * NS_PER_S),
        )
        self._model = model
        self._small_model = small_model
        self._load = load
        self._join: Join | None = None
        self._intake: Intake | None = None
        self.supervisor: Supervisor | None = None
        """Runs the worker; None before `start`."""
        self._ages_from_arrival = False
        self.info: SourceInfo | None = None

    def start(self) -> SourceInfo:
        """Warm the model up, open the source and begin.

        Raises:
            SourceError: the source cannot be opened.
            ConfigError: the policy does not fit the source.
        """
        models = (self._model, self._small_model or self._model)
        step_s = max(warm_up(model) for model in dict.fromkeys(models))
        info = self._source.open()
        try:
            policy = choose_policy(self._config.policy, info, self._config.media.pace)
        except ConfigError:
            self._source.stop()
            raise
        # A file played fast has stamps ahead of the clock; its age counts from when it was read.
        self._ages_from_arrival = not info.live and self._config.media.pace is Pace.FAST
        self._join = Join(
            self._frames,
            self._audio,
            self._config.window,
            context_s=self._model.context_s,
            policy=policy,
            clock=monotonic_ns,
            ledger=self.ledger,
        )
        self._intake = Intake(self._frames, self._audio, self._join, policy, self.ledger)
        supervise = self._config.supervise
        self.supervisor = Supervisor(
            partial(self._hire, self._intake, self._join, policy),
            self._first_session,
            models,
            self._load,
            replace(supervise, hang_s=max(supervise.hang_s, SLOW_STEPS * step_s)),
            self._intake,
            self.ledger,
        )
        self.supervisor.start()
        self._source.start(self._tap(self._intake, info) if self._tap else self._intake)
        self.info = info
        return info

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end of the stream; True once everything is done.

        Raises:
            StreamAvsError: the source or the model failed.
        """
        if self.supervisor is None or self._intake is None:
            raise RuntimeError("wait() before start()")
        if not self.supervisor.done.wait(timeout_s):
            return False
        error = self.supervisor.error or self._intake.error
        if error is not None:
            raise error
        return True

    def stop(self) -> None:
        """End capture, then the worker; frames that still waited are counted."""
        if self._intake is not None:
            self._intake.stop()
        self._source.stop()
        if self.supervisor is not None:
            self.supervisor.stop()
        if self._join is not None:
            self._join.abandon()

    def reset(self, reason: str = "request") -> None:
        """Clear the carried state before the next window."""
        self._session.reset(reason)

    def set_threshold(self, threshold: float | None) -> float:
        """Decide at another threshold from the next window on; see `Session.set_threshold`."""
        return self._session.set_threshold(threshold)

    @property
    def threshold(self) -> float | None:
        """Score above which a pixel sounds; None if the network has no threshold."""
        return self._session.threshold

    @property
    def captured(self) -> int:
        """Frames taken from the source so far."""
        return self._intake.captured if self._intake else 0

    @property
    def moves(self) -> int:
        """Grows while the worker does anything, waiting for frames included."""
        return self.supervisor.moves if self.supervisor else 0

    def snapshot(self) -> Snapshot:
        """Rate, age, drops and what sounds, now."""
        rung = self.supervisor.rung if self.supervisor else "full"
        source = self._intake.watch.status() if self._intake else None
        return self.statistics.snapshot(monotonic_ns(), self.ledger.counts(), rung, source)

    @property
    def _session(self) -> Session:
        return self.supervisor.session if self.supervisor else self._first_session

    def _hire(self, intake: Intake, join: Join, policy: Policy, session: Session, models: Models) -> Worker:
        ladder = None
        if policy is Policy.FRESHEST and self._config.overload.ladder:
            ladder = Ladder(self._config.overload, smaller=models[0] is not models[1])
        return Worker(intake, join, session, self._hand_on, self.ledger, ladder=ladder, models=models)

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _hand_on(self, result: MaskResult) -> None:
        for listener in self._listeners:
            listener(result)
        since_ns = result.arrival_ns if self._ages_from_arrival else result.stamp_ns
        now_ns = monotonic_ns()
        self.statistics.observe(result, (now_ns - since_ns) / NS_PER_MS, now_ns)


def choose_policy(asked: Policy, info: SourceInfo, pace: Pace) -> Policy:
    """Resolve `auto`: `every` for a file played fast, `freshest` for all else.

    Raises:
        ConfigError: `every` for a live source, which cannot be asked to wait.
    """
    if asked is Policy.EVERY and info.live:
        raise ConfigError(
            f"policy 'every' does not fit {info.name}, which cannot wait", "Use --policy freshest, or a file"
        )
    if asked is not Policy.AUTO:
        return asked
    return Policy.EVERY if not info.live and pace is Pace.FAST else Policy.FRESHEST


def run_until_done(
    pipeline: Pipeline,
    duration_s: float = 0.0,
    tick: Callable[[], None] = lambda: None,
    tick_s: float = 0.25,
) -> None:
    """Start, then `follow` to the end; see there."""
    pipeline.start()
    follow(pipeline, duration_s, tick, tick_s)


def follow(
    pipeline: Pipeline,
    duration_s: float = 0.0,
    tick: Callable[[], None] = lambda: None,
    tick_s: float = 0.25,
) -> None:
    """Call `tick` now and then, and return at the end of the stream or of `duration_s` (0: no limit).

    Raises:
        StreamAvsError: the source or the model failed.
        KeyboardInterrupt: passed on, with the pipeline still to be stopped by its `with`.
    """
    end_s = time.monotonic() + duration_s if duration_s > 0 else float("inf")
    while not pipeline.wait(max(0.0, min(tick_s, end_s - time.monotonic()))):
        tick()
        if time.monotonic() >= end_s:
            return
