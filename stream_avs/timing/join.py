"""Join by time: a camera frame, those before it, and the audio that ends at the stamp of each.

The calibrated shift between camera and microphone is applied here and nowhere else:
`t_mic = t_cam + timeshift_cam_mic` (Kalibr's convention).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from stream_avs.clock import MonotonicClock
from stream_avs.config import Policy, WindowConfig, require
from stream_avs.ledger import Ledger
from stream_avs.timing.audio_ring import AudioRing
from stream_avs.timing.frame_ring import FrameEntry, FrameRing
from stream_avs.types import NS_PER_MS, NS_PER_S, Event, Samples, Window

ROOM_MARGIN_S = 1.0
"""Audio that may still come in between asking for room and the next frame of a file."""


class HeldWindow:
    """A window whose frames are leased: use it in a `with` statement, or call `release` after use."""

    def __init__(self, window: Window, frames: FrameRing) -> None:
        self.window = window
        self._frames = frames
        self._held: tuple[int, ...] = tuple(frame.seq for frame in window.frames)

    def release(self) -> None:
        """Give the frames back; a second call does nothing."""
        held, self._held = self._held, ()
        self._frames.release(held)

    def __enter__(self) -> Window:
        return self.window

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Join:
    """Decides which frame is served next, and with what.

    One thread asks for windows; `request_reset`, `break_here` and `room` may be used from any.

    Args:
        frames: where frames come from.
        audio: where audio comes from; None if there is none, then all rows are silent.
        config: window, waiting times and the calibrated shift.
        context_s: length of an audio row.
        policy: `FRESHEST` serves the newest frame whose audio is there and drops older ones;
            `EVERY` serves all in turn, and the source must wait for `room`.
        clock: monotonic time.
        ledger: counts what is dropped, late or discontinuous.
        sample_rate_hz: rate of the silent rows when `audio` is None.

    Raises:
        ConfigError: the audio ring is too short for one window.
        ValueError: the policy is not resolved, or no rate is known.
    """

    def __init__(
        self,
        frames: FrameRing,
        audio: AudioRing | None,
        config: WindowConfig,
        *,
        context_s: float,
        policy: Policy,
        clock: MonotonicClock,
        ledger: Ledger,
        sample_rate_hz: int = 0,
    ) -> None:
        rate_hz = audio.sample_rate_hz if audio is not None else sample_rate_hz
        if policy is Policy.AUTO or rate_hz <= 0:
            raise ValueError(f"policy {policy.value} at {rate_hz} Hz, expected freshest or every, and a rate")
        needed_s = context_s + (config.frames - 1) * config.frame_spacing_s + ROOM_MARGIN_S
        require(
            audio is None or needed_s <= config.audio_buffer_s,
            "window.audio_buffer_s", config.audio_buffer_s,
            f"at least {needed_s:g} s: the audio of one window and {ROOM_MARGIN_S:g} s more",
        )  # fmt: skip
        self._frames = frames
        self._audio = audio
        self._config = config
        self._policy = policy
        self._clock = clock
        self._ledger = ledger
        self._rate_hz = rate_hz
        self._row_samples = round(context_s * rate_hz)
        self._context_ns = round(context_s * NS_PER_S)
        self._shift_ns = round(config.timeshift_cam_mic_s * NS_PER_S)
        self._spacing_ns = round(config.frame_spacing_s * NS_PER_S)
        self._gap_ns = round(config.gap_s * NS_PER_S)
        self._budget_ns = round(config.staleness_budget_s * NS_PER_S)
        # A frame must not grow stale only because it waited for its audio.
        self._wait_ns = min(round(config.audio_wait_s * NS_PER_S), self._budget_ns // 2)
        self._last: FrameEntry | None = None
        self._requests: deque[str] = deque(maxlen=1)
        if policy is Policy.EVERY:
            older = config.frames - 1
            frames.keep_history(older, older * self._spacing_ns + self._spacing_ns // 2)

    def next_window(self) -> HeldWindow | None:
        """Serve the next frame, or None if nothing is ready (see `wait_ns`).

        The frame counts as served from here on. Frames passed over are counted: STALE if they
        reached us longer ago than the staleness budget (by arrival, so that a wrong device clock
        cannot starve the stream), SUPERSEDED if a newer one is served.
        """
        while (chosen := self._choose()) is not None:
            frame, in_time = chosen
            picked = self._pick(frame)
            try:
                held = self._frames.hold([entry.seq for entry in picked])
            except KeyError:
                continue  # the camera has overwritten one meanwhile: choose again
            self._settle(frame, in_time)
            ends_ns = [entry.stamp_ns + self._shift_ns for entry in picked]
            audio, coverage = self._rows(ends_ns, frame.epoch)
            reason = self._reset_reason(frame)
            window = Window(
                frames=held,
                audio=audio,
                audio_coverage=coverage,
                sample_rate_hz=self._rate_hz,
                distinct=len({entry.seq for entry in picked}),
                reset=bool(reason),
                reset_reason=reason,
                spacing_ns=self._spacing_ns,
            )
            return HeldWindow(window, self._frames)
        return None

    def wait_ns(self) -> int | None:
        """Time until `next_window` could have something without new data; None if only data helps."""
        now_ns = self._clock()
        waits = [
            0 if self._ready(entry, now_ns) is not None else self._wait_ns - (now_ns - entry.arrival_ns)
            for entry in self._candidates(now_ns)
        ]
        if self._policy is Policy.EVERY:
            waits = [wait for wait in waits if wait == 0]
        return max(min(waits), 0) if waits else None

    @property
    def room(self) -> bool:
        """True if a waiting source may push its next frame: nothing still needed is overwritten by it."""
        if not self._frames.room:
            return False
        unserved = self._frames.unserved()
        if self._audio is None or not unserved:
            return True
        first = unserved[0]
        oldest = self._pick(first)[0]
        begin_ns = oldest.stamp_ns + self._shift_ns - self._context_ns
        return self._audio.spare_s(begin_ns, first.epoch) >= ROOM_MARGIN_S

    def request_reset(self, reason: str = "request") -> None:
        """Let the next window ask for cleared state."""
        if not reason:
            raise ValueError("a reset needs a reason")
        self._requests.append(reason)

    def break_here(self, reason: str) -> None:
        """What comes next does not continue what came before, neither in frames nor in audio."""
        if self._audio is not None:
            self._audio.break_here()
        self._frames.break_here(reason)

    def abandon(self, event: Event = Event.SHUTDOWN) -> int:
        """Count all frames still waiting as lost to `event`; return how many."""
        lost = [entry for entry in self._frames.unserved() if self._frames.mark_served(entry.seq)]
        for entry in lost:
            self._ledger.record(event, entry.stamp_ns)
        return len(lost)

    def _choose(self) -> tuple[FrameEntry, bool] | None:
        """The frame to serve now, and whether its audio is there."""
        now_ns = self._clock()
        if self._policy is Policy.FRESHEST:
            self._drop_stale(now_ns)
        for entry in self._candidates(now_ns):
            in_time = self._ready(entry, now_ns)
            if in_time is not None:
                return entry, in_time
        return None

    def _candidates(self, now_ns: int) -> list[FrameEntry]:
        """The frames that may be served, best first."""
        unserved = self._frames.unserved()
        if self._policy is Policy.EVERY:
            return unserved[:1]
        return [entry for entry in reversed(unserved) if now_ns - entry.arrival_ns <= self._budget_ns]

    def _ready(self, entry: FrameEntry, now_ns: int) -> bool | None:
        """True if the frame's audio is there, False if it goes on without, None if it waits."""
        if self._audio is None or self._audio.complete(entry.stamp_ns + self._shift_ns, entry.epoch):
            return True
        if self._policy is Policy.EVERY:
            # The missing audio may be behind the very frame the source waits to push.
            return None if self.room else False
        return False if now_ns - entry.arrival_ns >= self._wait_ns else None

    def _drop_stale(self, now_ns: int) -> None:
        for entry in self._frames.unserved():
            age_ns = now_ns - entry.arrival_ns
            if age_ns > self._budget_ns and self._frames.mark_served(entry.seq):
                self._ledger.record(Event.STALE, entry.stamp_ns, f"{age_ns / NS_PER_MS:.0f} ms old")

    def _settle(self, frame: FrameEntry, in_time: bool) -> None:
        """Account for the frame that is served and those it overtakes."""
        self._frames.mark_served(frame.seq)
        if not in_time:
            self._ledger.record(Event.AUDIO_LATE, frame.stamp_ns)
        for entry in self._frames.unserved():
            if entry.seq < frame.seq and self._frames.mark_served(entry.seq):
                self._ledger.record(Event.SUPERSEDED, entry.stamp_ns)

    def _pick(self, newest: FrameEntry) -> list[FrameEntry]:
        return pick_frames(
            self._frames.entries(),
            newest,
            count=self._config.frames,
            spacing_ns=self._spacing_ns,
            gap_ns=self._gap_ns,
        )

    def _rows(self, ends_ns: Sequence[int], epoch: int) -> tuple[Samples, NDArray[np.float32]]:
        if self._audio is not None:
            return self._audio.read_rows(ends_ns, self._row_samples, epoch)
        silence = np.zeros((len(ends_ns), self._row_samples), np.float32)
        return silence, np.zeros(len(ends_ns), np.float32)

    def _reset_reason(self, frame: FrameEntry) -> str:
        last, self._last = self._last, frame
        requested = self._requests.pop() if self._requests else ""
        if last is None or frame.segment != last.segment:
            return frame.reason
        gap_ns = frame.stamp_ns - last.stamp_ns
        if gap_ns > self._gap_ns:
            self._ledger.record(Event.DISCONTINUITY, frame.stamp_ns, f"gap of {gap_ns / NS_PER_S:.1f} s")
            return "gap"
        return requested


def pick_frames(
    entries: Sequence[FrameEntry], newest: FrameEntry, *, count: int, spacing_ns: int, gap_ns: int
) -> list[FrameEntry]:
    """Choose the frames of a window, oldest first.

    Args:
        entries: stored frames, oldest first; `newest` may be among them.
        newest: the frame the window is for.
        count: frames in the window.
        spacing_ns: wanted distance; frame k before the newest is the one nearest to
            `newest - k * spacing_ns` within half a spacing. 0 takes consecutive stored frames.
        gap_ns: a hole between stored frames longer than this is not crossed, nor is a segment.

    Returns:
        `count` entries; where one is missing, the oldest found before it is repeated.
    """
    reach_ns = (count - 1) * spacing_ns + spacing_ns // 2
    run = [newest]
    for entry in reversed(entries):
        if entry.seq >= newest.seq:
            continue
        beyond = newest.stamp_ns - entry.stamp_ns > reach_ns if spacing_ns else len(run) == count
        if beyond or entry.segment != newest.segment or run[-1].stamp_ns - entry.stamp_ns > gap_ns:
            break
        run.append(entry)
    if not spacing_ns:
        picked = run
    else:
        picked = [newest]
        for k in range(1, count):
            target_ns = newest.stamp_ns - k * spacing_ns
            nearest = min(run, key=lambda entry: abs(entry.stamp_ns - target_ns))
            found = -spacing_ns < 2 * (nearest.stamp_ns - target_ns) <= spacing_ns
            picked.append(nearest if found else picked[-1])
    return (picked + picked[-1:] * (count - len(picked)))[::-1]
