"""One stream's way through a model: carried state, reset rules, and a complete result per window."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_avs.clock import MonotonicClock, monotonic_ns, unix_offset_ns
from stream_avs.engine.live_threshold import LiveThreshold
from stream_avs.engine.poison import check_numbers, is_device_lost
from stream_avs.errors import PoisonedError, StepError
from stream_avs.ledger import Ledger
from stream_avs.models.base import AnyModel, Decision, Stages
from stream_avs.types import NS_PER_MS, Affine, Event, MaskResult, ResultState, Sounding, Window

MIN_COVERAGE = 0.25
"""Below this share of really captured samples nothing can be said about what sounds: half a second of
the usual two, so that a stream begins to speak half a second after it starts."""
SILENCE_DBFS = -120.0


class Session:
    """The state of one stream, stepped window by window by one thread.

    State is cleared before a window that asks for it, at the first window, when the picture's
    geometry changes, when stamps go backwards, after a failed step, when it has not been stepped for
    `gap_ns` (e.g. for lack of sound), and on request. The first result that the cleared state takes
    part in says so.

    Args:
        model: shared by any number of sessions.
        stream: name of the stream, copied to every result.
        ledger: where frames without a mask are counted; read for `MaskResult.dropped`.
        clock: returns monotonic nanoseconds.
        timeshift_cam_mic_ns: the calibrated shift that the join applies, copied to every result.
        unix_offset: returns unix time minus monotonic time, ns.
        gap_ns: state of a frame older than this says nothing about the present one; 0 for no limit.
        threshold: shared with the sessions that follow this one.
    """

    def __init__(
        self,
        model: AnyModel,
        *,
        stream: str,
        ledger: Ledger,
        clock: MonotonicClock = monotonic_ns,
        timeshift_cam_mic_ns: int = 0,
        unix_offset: Callable[[], int] = unix_offset_ns,
        gap_ns: int = 0,
        threshold: LiveThreshold | None = None,
    ) -> None:
        self._model = model
        self._stream = stream
        self._ledger = ledger
        self._clock = clock
        self._timeshift_cam_mic_ns = timeshift_cam_mic_ns
        self._unix_offset = unix_offset
        self._gap_ns = gap_ns
        self._threshold = threshold or LiveThreshold()
        self._state: Any = model.initial_state()
        self._requested = "start"  # reason of a reset not carried out yet
        self._announce = ""  # reason of a reset no result has told yet
        self._counts: Counter[str] = Counter()
        self._geometry: tuple[int, ...] | None = None
        self._newest_ns: int | None = None
        self._stepped_ns: int | None = None  # frame that the state is of
        self._window_seq = 0
        self._dropped_before = ledger.dropped_frames()
        self._audio_damaged = False
        self._last: Decision | None = None  # what may be held

    def successor(self, model: AnyModel, reason: str) -> Session:
        """A session that goes on in this one's place from cleared state: numbers and counts run on.

        Whatever still runs in this one, e.g. a step that hangs, cannot disturb the successor.
        """
        heir = Session(
            model,
            stream=self._stream,
            ledger=self._ledger,
            clock=self._clock,
            timeshift_cam_mic_ns=self._timeshift_cam_mic_ns,
            unix_offset=self._unix_offset,
            gap_ns=self._gap_ns,
            threshold=self._threshold,
        )
        heir._requested = reason
        heir._counts = self._counts.copy()
        heir._window_seq, heir._dropped_before = self._window_seq, self._dropped_before
        return heir

    @property
    def reset_counts(self) -> dict[str, int]:
        """How often carried state was cleared, by reason."""
        return dict(self._counts)

    def reset(self, reason: str = "request") -> None:
        """Clear carried state before the next window. May be called from any thread."""
        self._requested = reason

    @property
    def threshold(self) -> float | None:
        """Score above which a pixel sounds; None if the model has no threshold."""
        return self._threshold.of(self._model)

    def set_threshold(self, threshold: float | None) -> float:
        """Decide at another threshold from the next window on; carried state stays as it is.

        May be called from any thread, and counts for successors too. See `LiveThreshold.set`.
        """
        return self._threshold.set(self._model, threshold)

    def use(self, model: AnyModel, reason: str) -> None:
        """Go on with another model of the same labels, from cleared state; by the stepping thread."""
        if model is not self._model:
            self._model = model
            self._requested = self._requested or reason

    def skip(self, window: Window) -> None:
        """Leave out a window; a reset it asks for is carried out."""
        self._follow_resets(window)

    def hold(self, window: Window) -> MaskResult:
        """Answer with the last mask, marked stale; an empty one if it belongs to another scene."""
        start_ns = self._clock()
        self._follow_resets(window)
        window, _ = self._finite(window)
        decision = self._last or self._nothing()
        return self._result(window, decision, ResultState.STALE, "", Stages(self._clock), start_ns)

    def step(self, window: Window) -> MaskResult:
        """Say which pixels sound in the newest frame of `window`.

        Audio that is not finite counts as missing. With less than `MIN_COVERAGE` of the newest row captured
        the mask is empty, the state `no_audio`, and carried state stays as it is.

        Raises:
            PoisonedError: the model gave numbers that are none, or its device was lost.
            StepError: the model failed; carried state will be cleared before the next window.
        """
        start_ns = self._clock()
        self._follow_resets(window)
        window, coverage = self._finite(window)
        stages = Stages(self._clock)
        if coverage < MIN_COVERAGE:
            decision, state, reason = self._nothing(), ResultState.NO_AUDIO, ""
        else:
            stepped_ns, self._stepped_ns = self._stepped_ns, window.newest.stamp_ns
            if self._gap_ns and stepped_ns and self._stepped_ns - stepped_ns > self._gap_ns:
                self._clear("gap")
            decision = self._decide(window, stages)
            reason, self._announce = self._announce, ""
            state = ResultState.RESET if reason else ResultState.OK
            self._last = decision
        return self._result(window, decision, state, reason, stages, start_ns)

    def _follow_resets(self, window: Window) -> None:
        newest = window.newest
        geometry, stamp_ns = newest.image.shape, newest.stamp_ns
        reason = self._requested
        if not reason and window.reset:
            reason = window.reset_reason or "request"
        if not reason and geometry != self._geometry:
            reason = "geometry"
        if not reason and self._newest_ns is not None and stamp_ns < self._newest_ns:
            reason = "backwards"
        self._requested = ""
        self._geometry, self._newest_ns = geometry, stamp_ns
        if reason:
            self._stepped_ns = None
            self._clear(reason)

    def _clear(self, reason: str) -> None:
        self._last = None
        self._state = self._model.initial_state()
        self._counts[reason] += 1
        self._announce = reason

    def _finite(self, window: Window) -> tuple[Window, float]:
        """Return the window with missing samples for non-finite ones, and the newest row's coverage."""
        coverage = float(window.audio_coverage[-1])
        finite = np.isfinite(window.audio)
        damaged = not bool(finite.all())
        if damaged and not self._audio_damaged:
            detail = "samples that are not finite; heard as silence"
            self._ledger.record(Event.AUDIO_GAP, window.newest.stamp_ns, detail)
        self._audio_damaged = damaged
        if not damaged:
            return window, coverage
        audio = np.where(finite, window.audio, np.float32(0.0)).astype(np.float32)
        return dataclasses.replace(window, audio=audio), coverage * float(finite[-1].mean())

    def _nothing(self) -> Decision:
        empty = np.zeros(self._model.mask_shape, np.uint8)
        return Decision(mask=empty, confidence=empty.copy(), scores={}, sounding_score=0.0)

    def _decide(self, window: Window, stages: Stages) -> Decision:
        try:
            decision, self._state = self._threshold.on(self._model).step(window, self._state, stages)
            check_numbers(decision)
            check_decision(decision, self._model)
        except Exception as error:
            self._requested = "step_error"
            kind = PoisonedError if isinstance(error, PoisonedError) or is_device_lost(error) else StepError
            raise kind(
                f"model {self._model.id} failed on frame {window.newest.seq} of stream {self._stream}: "
                f"{type(error).__name__}: {error}",
                "The frame gets no mask; if it repeats, run `stream-avs doctor`",
            ) from error
        return decision

    def _result(
        self,
        window: Window,
        decision: Decision,
        state: ResultState,
        reason: str,
        stages: Stages,
        start_ns: int,
    ) -> MaskResult:
        newest = window.newest
        height_px, width_px = newest.image.shape[:2]
        dropped = self._ledger.dropped_frames()
        publish_ns = self._clock()
        latency_ms = {
            "capture": (newest.arrival_ns - newest.stamp_ns) / NS_PER_MS,
            "wait": (start_ns - newest.arrival_ns) / NS_PER_MS,
            **stages.ms,
            "total": (publish_ns - newest.stamp_ns) / NS_PER_MS,
        }
        result = MaskResult(
            mask=decision.mask,
            confidence=decision.confidence,
            stream=self._stream,
            seq=newest.seq,
            window_seq=self._window_seq,
            stamp_ns=newest.stamp_ns,
            arrival_ns=newest.arrival_ns,
            publish_ns=publish_ns,
            unix_offset_ns=self._unix_offset(),
            frame_id=newest.frame_id,
            source_size=(width_px, height_px),
            transform=resize_transform(decision.mask.shape, (height_px, width_px)),
            labels=self._model.labels,
            sounding=sounding_of(decision, self._model.labels),
            sounding_score=decision.sounding_score,
            audio_level_dbfs=level_dbfs(window.audio[-1]),
            state=state,
            reset_reason=reason,
            dropped=dropped - self._dropped_before,
            timeshift_cam_mic_ns=self._timeshift_cam_mic_ns,
            model_id=self._model.id,
            latency_ms=latency_ms,
        )
        self._dropped_before = dropped
        self._window_seq += 1
        return result


def resize_transform(mask_shape: tuple[int, ...], source_shape: tuple[int, ...]) -> Affine:
    """Return the map from mask to source pixel centres when the mask covers the whole source.

    Args:
        mask_shape: (h, w) of the mask.
        source_shape: (height, width) of the source image.

    Returns:
        `Affine` of x_src = (x + 0.5) * sx - 0.5 with sx = width / w, likewise for y.
    """
    sy, sx = source_shape[0] / mask_shape[0], source_shape[1] / mask_shape[1]
    return (sx, 0.0, 0.5 * sx - 0.5, 0.0, sy, 0.5 * sy - 0.5)


def level_dbfs(samples: NDArray[np.float32]) -> float:
    """Return the RMS level of finite samples in dB relative to full scale, -120..0."""
    if samples.size == 0:
        return SILENCE_DBFS
    rms = math.sqrt(float(np.mean(np.square(samples, dtype=np.float64))))
    return min(0.0, max(SILENCE_DBFS, 20.0 * math.log10(max(rms, 1e-12))))


def check_decision(decision: Decision, model: AnyModel) -> None:
    """Raise ValueError unless masks and scores are what the model promises."""
    for name, pixels in (("mask", decision.mask), ("confidence", decision.confidence)):
        if pixels.dtype != np.uint8 or pixels.shape != model.mask_shape:
            raise ValueError(f"{name} is {pixels.dtype} {pixels.shape}, not uint8 {model.mask_shape}")
    ids = {int(i) for i in np.flatnonzero(np.bincount(decision.mask.ravel()))} - {0}
    if unknown := ids - (model.labels.keys() & decision.scores.keys()):
        raise ValueError(f"mask holds class ids {sorted(unknown)} without label or score")


def sounding_of(decision: Decision, labels: dict[int, str]) -> tuple[Sounding, ...]:
    """Return the classes present in the mask, highest score first."""
    pixels = np.bincount(decision.mask.ravel(), minlength=1)
    present = [
        Sounding(
            class_id=int(class_id),
            name=labels[int(class_id)],
            score=decision.scores[int(class_id)],
            area=float(pixels[class_id]) / decision.mask.size,
        )
        for class_id in np.flatnonzero(pixels)
        if class_id != 0
    ]
    return tuple(sorted(present, key=lambda s: (-s.score, s.class_id)))
