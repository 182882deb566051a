"""The recorded session once more, window by window, without its hurry.

A live session chose by the clock which frames got a mask. Here the recorded results say which: for
each, the same rings and the same join are brought to the moment its window was taken, so windows
are bit-equal, and results too where the network is the same. No threads, no waiting.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from stream_avs.capture.replay import deliver
from stream_avs.clock import monotonic_ns
from stream_avs.config import Policy, RunConfig
from stream_avs.engine.intake import Intake
from stream_avs.engine.session import Session
from stream_avs.errors import StepError
from stream_avs.ledger import Ledger
from stream_avs.models.base import AnyModel
from stream_avs.record.items import FrameItem, Item, NoteItem, NoteKind, ResultItem
from stream_avs.record.reader import Recording
from stream_avs.timing.audio_ring import AudioRing
from stream_avs.timing.frame_ring import FrameRing
from stream_avs.timing.join import HeldWindow, Join
from stream_avs.types import NS_PER_MS, NS_PER_S, MaskResult, ResultState, Window

HAND_OVER_NS = 20 * NS_PER_MS
"""How long after it was recorded an item may have reached the rings: resampling and waking."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pair:
    """A recorded result and its reproduction.

    Attributes:
        recorded: as recorded.
        now: as made now; None where its window could not be had, or the network failed.
        why: why `now` is None.
    """

    recorded: MaskResult
    now: MaskResult | None
    why: str = ""


class _SimClock:
    """Monotonic time as it was, plus what work done now takes."""

    def __init__(self) -> None:
        self._base_ns = 0
        self._from_ns = 0
        self._runs = False

    def set(self, now_ns: int, *, runs: bool = False) -> None:
        self._base_ns, self._from_ns, self._runs = now_ns, monotonic_ns(), runs

    def __call__(self) -> int:
        return self._base_ns + (monotonic_ns() - self._from_ns if self._runs else 0)


class Reproducer:
    """Makes the windows of a recording's results again, and steps a model over them.

    Args:
        recording: what was recorded.
        config: settings of the session; those it was recorded with give the same windows.
        model: the network to run.
        small_model: what the overload ladder changes to; None if it changes to nothing.
    """

    def __init__(
        self, recording: Recording, config: RunConfig, model: AnyModel, small_model: AnyModel | None = None
    ) -> None:
        self._recording = recording
        self._models = (model, small_model or model)
        self._clock = _SimClock()
        self.ledger = Ledger()
        """Events of the reproduction."""
        window = config.window
        self._frames = FrameRing(window.frame_slots, self.ledger)
        self._join = Join(
            self._frames,
            audio := AudioRing(model.sample_rate_hz, window.audio_buffer_s, self.ledger),
            window,
            context_s=model.context_s,
            policy=Policy.FRESHEST,
            clock=self._clock,
            ledger=self.ledger,
        )
        self._intake = Intake(self._frames, audio, self._join, Policy.FRESHEST, self.ledger)
        self._session = Session(
            model,
            stream=config.name,
            ledger=self.ledger,
            clock=self._clock,
            timeshift_cam_mic_ns=round(window.timeshift_cam_mic_s * NS_PER_S),
            unix_offset=lambda: recording.info.offset_ns,
            gap_ns=round(window.gap_s * NS_PER_S),
        )
        self._budget_ns = round(window.staleness_budget_s * NS_PER_S)
        self._wait_ns = min(round(window.audio_wait_s * NS_PER_S), self._budget_ns // 2)
        self._todo: deque[Item] = deque()

    def pairs(self) -> Iterator[Pair]:
        """Yield every recorded result with its reproduction."""
        for recorded, held, why in self._windows():
            if held is None:
                yield Pair(recorded=recorded, now=None, why=why)
                continue
            with held as window:
                yield self._step(recorded, window)

    def windows(self) -> Iterator[tuple[MaskResult, Window]]:
        """Yield every recorded result with its window, valid until the next is asked for."""
        for recorded, held, _ in self._windows():
            if held is not None:
                with held as window:
                    yield recorded, window

    def _windows(self) -> Iterator[tuple[MaskResult, HeldWindow | None, str]]:
        for item in self._recording.items():
            if not isinstance(item, ResultItem):
                self._todo.append(item)
                continue
            held, why = self._window_of(item.result)
            yield item.result, held, why

    def _window_of(self, recorded: MaskResult) -> tuple[HeldWindow | None, str]:
        taken_ns = recorded.arrival_ns + round(recorded.latency_ms.get("wait", 0.0) * NS_PER_MS)
        # The join is asked no later than this: a file's frames may wait long, and must not grow stale.
        asked_ns = min(taken_ns, recorded.arrival_ns + self._budget_ns)
        forced_ns = recorded.arrival_ns + self._wait_ns
        # Asked again with what was on its way, then as if the wait for sound were over.
        for fed_ns, now_ns in (
            (taken_ns, asked_ns),
            (taken_ns + HAND_OVER_NS, asked_ns),
            (taken_ns + HAND_OVER_NS, max(asked_ns, forced_ns)),
        ):
            self._feed(recorded.stamp_ns, fed_ns)
            self._clock.set(now_ns)
            held = self._join.next_window()
            if held is None:
                continue
            self._clock.set(taken_ns)
            if held.window.newest.stamp_ns == recorded.stamp_ns:
                return held, ""
            held.release()
            break
        return None, "its frame is not in the recording, or not in its place"

    def _feed(self, frame_ns: int, until_ns: int) -> None:
        """Give the rings what they had: frames up to this one, sound recorded until that moment.

        Later frames are kept back; the join would prefer them. A break after a frame kept back ends
        the feeding: what comes behind it is no part of this window.
        """
        later: deque[Item] = deque()
        broken = False
        while self._todo:
            item = self._todo.popleft()
            if isinstance(item, NoteItem) and item.kind in (NoteKind.DISCONTINUITY, NoteKind.HOLE):
                broken = broken or bool(later)
            is_later = isinstance(item, FrameItem) and item.stamp_ns > frame_ns
            if broken or is_later or item.log_ns > until_ns:
                later.append(item)
                continue
            deliver(item, self._intake, 0)
        self._todo = later

    def _step(self, recorded: MaskResult, window: Window) -> Pair:
        if recorded.reset_reason == "input_size":
            self._models = self._models[::-1]
            self._session.use(self._models[0], recorded.reset_reason)
        elif recorded.reset_reason and not window.reset:
            # E.g. the worker stalled then: the join sees no gap now, for nothing stalls.
            window = replace(window, reset=True, reset_reason=recorded.reset_reason)
        self._clock.set(self._clock(), runs=True)
        answer = self._session.hold if recorded.state is ResultState.STALE else self._session.step
        try:
            return Pair(recorded=recorded, now=answer(window))
        except StepError as error:
            return Pair(recorded=recorded, now=None, why=str(error))
