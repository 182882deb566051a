"""The sink a source writes to: resamples, fills the rings, and wakes the worker."""

from __future__ import annotations

import threading

from stream_avs.audio.resample import StreamResampler
from stream_avs.config import Policy
from stream_avs.errors import StreamAvsError
from stream_avs.ledger import Ledger
from stream_avs.timing.audio_ring import AudioRing
from stream_avs.timing.frame_ring import FrameRing
from stream_avs.timing.join import Join
from stream_avs.timing.source_watch import SourceWatch
from stream_avs.types import AudioBlock, Event, Image, SourceState, StampSource


class Intake:
    """Implements `capture.base.Sink` over a frame ring and an audio ring.

    Under `FRESHEST` nothing here blocks. Under `EVERY` a frame waits until the ring has room, so a
    file is read no faster than masks are made.

    Args:
        frames, audio: the rings to fill; `audio` runs at the rate the model wants.
        join: reads the rings; knows whether there is room.
        policy: FRESHEST or EVERY.
        ledger: where events are counted.
    """

    def __init__(
        self, frames: FrameRing, audio: AudioRing, join: Join, policy: Policy, ledger: Ledger
    ) -> None:
        self._frames = frames
        self._audio = audio
        self._join = join
        self._policy = policy
        self._ledger = ledger
        self._resampler = StreamResampler(audio.sample_rate_hz)
        self._audio_lock = threading.Lock()  # a reconnecting source may change its audio thread
        self._changed = threading.Condition()
        self._version = 0
        self.captured = 0
        self.watch = SourceWatch()
        """How the source is."""
        self.finished = False
        self.error: StreamAvsError | None = None
        self._stopping = False

    def frame(
        self,
        image: Image,
        stamp_ns: int,
        arrival_ns: int,
        *,
        frame_id: str = "camera",
        stamp_source: StampSource = StampSource.ARRIVAL,
    ) -> None:
        """See `Sink.frame`."""
        self.watch.frame()
        with self._changed:
            while self._policy is Policy.EVERY and not self._join.room and not self._stopping:
                self._changed.wait(0.2)
            if self._stopping:
                return
            self.captured += 1
        self._frames.push(image, stamp_ns, arrival_ns, frame_id=frame_id, stamp_source=stamp_source)
        self.wake()

    def audio(self, block: AudioBlock) -> None:
        """See `Sink.audio`."""
        self.watch.sound()
        with self._audio_lock:
            resampled = self._resampler.push(block)
            if resampled is not None:
                self._audio.push(resampled)
        self.wake()

    def event(self, event: Event, stamp_ns: int, detail: str = "") -> None:
        """See `Sink.event`."""
        self._ledger.record(event, stamp_ns, detail)

    def discontinuity(self, reason: str, stamp_ns: int) -> None:
        """See `Sink.discontinuity`. Frames before it keep their audio."""
        self._flush_audio()
        with self._audio_lock:
            self._join.break_here(reason)

    def announce(self, state: SourceState, detail: str = "") -> None:
        """See `Sink.announce`."""
        self.watch.announce(state, detail)

    def audio_ended(self) -> None:
        """See `Sink.audio_ended`."""
        self.watch.announce(SourceState.SILENT, "no sound in this source")
        self._flush_audio()
        self._audio.close()
        self.wake()

    def ended(self, error: StreamAvsError | None = None) -> None:
        """See `Sink.ended`."""
        self.audio_ended()
        self.watch.announce(SourceState.FAILED if error else SourceState.ENDED, error.what if error else "")
        self.error = self.error or error
        self.finished = True
        self.wake()

    @property
    def version(self) -> int:
        """Grows with every change; read it before looking, then `wait_change` misses nothing."""
        return self._version

    def wait_change(self, seen: int, timeout_s: float) -> None:
        """Sleep until something has changed since `version` was `seen`, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != seen, timeout_s)

    def wake(self) -> None:
        """Let the worker, or a source waiting for room, look again."""
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    def stop(self) -> None:
        """Take nothing more; a source that waits for room is let go."""
        self._stopping = True
        self.wake()

    def _flush_audio(self) -> None:
        with self._audio_lock:
            held_back = self._resampler.flush()
            if held_back is not None:
                self._audio.push(held_back)
        self.wake()
