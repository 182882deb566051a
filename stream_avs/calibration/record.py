"""Sinks that boil a source down to what calibration needs, and the loop that feeds them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_avs.calibration.opencv import cv2
from stream_avs.calibration.tracks import PictureTrack, SoundPiece, join_blocks
from stream_avs.capture.base import Sink, Source, SourceInfo
from stream_avs.errors import StreamAvsError
from stream_avs.types import NS_PER_S, AudioBlock, Event, Image, Samples, SourceState, StampSource

GREY_WIDTH_PX = 128
"""Enough for hands that fill a tenth of the picture; three minutes at 30 Hz take 66 MB."""

MAX_SPAN_S = 300.0
"""More than this is not kept: memory is finite, and a film is no calibration."""

TICK_S = 0.2
SILENT_S = 15.0
"""A live source that gives nothing for so long after its start will give nothing."""

LONGEST = 3.0
"""However often a recording begins anew, it ends after so many times its length."""

TAKE_TIMEOUT_S = 0.1


class _Ends:
    """What every sink here does about events and the end of a source."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.error: StreamAvsError | None = None
        self._happened: Counter[str] = Counter()
        self._details: dict[str, str] = {}

    @property
    def remarks(self) -> tuple[str, ...]:
        """What happened on the way, each kind once, with how often and the latest detail."""
        return tuple(
            name
            + (f", {count} times" if count > 1 else "")
            + (f": {self._details[name]}" * bool(self._details[name]))
            for name, count in self._happened.items()
        )

    def remark(self, name: str, detail: str = "") -> None:
        """Remember that something happened."""
        self._happened[name] += 1
        self._details[name] = detail

    def event(self, event: Event, stamp_ns: int, detail: str = "") -> None:
        """Remember it as a remark."""
        self.remark(event.value, detail)

    def discontinuity(self, reason: str, stamp_ns: int) -> None:
        """Remember it as a remark."""
        self.remark("discontinuity", reason)

    def announce(self, state: SourceState, detail: str = "") -> None:
        """Nothing to do: a break is told as an event too."""

    def audio_ended(self) -> None:
        """Nothing to do."""

    def ended(self, error: StreamAvsError | None = None) -> None:
        """Remember that and why."""
        self.error = error
        self.done.set()


class Recorder(_Ends):
    """Keeps small grey pictures and all sound.

    When the clock of a device snaps, all stamps before are off by an unknown amount, as in the first
    seconds of some sound servers. If both pictures and sound are kept, to be compared, the recording
    then begins anew.

    Args:
        pictures, sound: what to keep.
    """

    def __init__(self, *, pictures: bool = True, sound: bool = True) -> None:
        super().__init__()
        self._keep = (pictures, sound)
        self._lock = threading.Lock()
        self._stamps_ns: list[int] = []
        self._grey: list[NDArray[np.uint8]] = []
        self._blocks: list[AudioBlock] = []
        self._stamp_source = StampSource.ARRIVAL
        self._begun_s: float | None = None

    @property
    def elapsed_s(self) -> float:
        """Seconds since the first picture or sound of this recording; 0 before."""
        return 0.0 if self._begun_s is None else time.monotonic() - self._begun_s

    def event(self, event: Event, stamp_ns: int, detail: str = "") -> None:
        """Remember it as a remark; begin anew on a `CLOCK_SNAP`."""
        super().event(event, stamp_ns, detail)
        if event is Event.CLOCK_SNAP and all(self._keep):
            with self._lock:
                self._stamps_ns.clear()
                self._grey.clear()
                self._blocks.clear()
                self._begun_s = None

    def frame(
        self,
        image: Image,
        stamp_ns: int,
        arrival_ns: int,
        *,
        frame_id: str = "camera",
        stamp_source: StampSource = StampSource.ARRIVAL,
    ) -> None:
        """Keep a picture, small and grey, unless its stamp is not newer than the last."""
        if not self._keep[0] or (self._stamps_ns and stamp_ns <= self._stamps_ns[-1]):
            return
        small = shrink(image)
        with self._lock:
            # A picture of another size, after a reconnect, cannot be compared with those before.
            if self._grey and small.shape != self._grey[-1].shape:
                self._stamps_ns.clear()
                self._grey.clear()
            if self._stamps_ns and stamp_ns - self._stamps_ns[0] > MAX_SPAN_S * NS_PER_S:
                self._full()
                return
            self._stamps_ns.append(stamp_ns)
            self._grey.append(small)
            self._stamp_source = stamp_source
            self._begun_s = self._begun_s or time.monotonic()

    def audio(self, block: AudioBlock) -> None:
        """Keep a copy."""
        if not self._keep[1]:
            return
        copy = AudioBlock(
            samples=block.samples.copy(),
            stamp_ns=block.stamp_ns,
            sample_rate_hz=block.sample_rate_hz,
            stamp_source=block.stamp_source,
        )
        with self._lock:
            if self._blocks and copy.stamp_ns - self._blocks[0].stamp_ns > MAX_SPAN_S * NS_PER_S:
                self._full()
                return
            self._blocks.append(copy)
            self._begun_s = self._begun_s or time.monotonic()

    def _full(self) -> None:
        if not self.done.is_set():
            self.remark(f"only the first {MAX_SPAN_S:g} s are used")
            self.done.set()

    def pictures(self) -> PictureTrack:
        """All pictures so far."""
        with self._lock:
            grey = np.stack(self._grey) if self._grey else np.zeros((0, 1, 1), np.uint8)
            stamps_ns = np.array(self._stamps_ns, np.int64)
        return PictureTrack(stamps_ns=stamps_ns, grey=grey, stamp_source=self._stamp_source)

    def sound(self) -> tuple[SoundPiece, ...]:
        """All sound so far."""
        with self._lock:
            blocks = list(self._blocks)
        return join_blocks(blocks)

    def samples(self) -> tuple[Samples, int]:
        """All samples so far, float32 [n], mono, holes left out; and their rate in Hz, 0 if none."""
        with self._lock:
            blocks = list(self._blocks)
        if not blocks:
            return np.zeros(0, np.float32), 0
        return np.concatenate([b.samples.mean(axis=1, dtype=np.float32) for b in blocks]), blocks[
            -1
        ].sample_rate_hz


class FrameFeed(_Ends):
    """Hands pictures one at a time to whoever takes them: the newest of a live source, all of a file.

    Args:
        live: whether the source cannot wait; then an untaken picture is replaced by a newer one.
        every_s: pictures closer than this to the last one are passed over.
    """

    def __init__(self, *, live: bool, every_s: float = 0.0) -> None:
        super().__init__()
        self._live = live
        self._every_ns = round(every_s * NS_PER_S)
        self._condition = threading.Condition()
        self._waiting: tuple[Image, int] | None = None
        self._next_ns: int | None = None
        self._closed = False

    def frame(
        self,
        image: Image,
        stamp_ns: int,
        arrival_ns: int,
        *,
        frame_id: str = "camera",
        stamp_source: StampSource = StampSource.ARRIVAL,
    ) -> None:
        """Offer a picture."""
        with self._condition:
            if self._next_ns is not None and stamp_ns < self._next_ns:
                return
            while self._waiting is not None and not self._live and not self._closed:
                self._condition.wait(TAKE_TIMEOUT_S)
            if self._closed:
                return
            self._next_ns = stamp_ns + self._every_ns
            self._waiting = (image.copy(), stamp_ns)
            self._condition.notify_all()

    def audio(self, block: AudioBlock) -> None:
        """Sound is not needed."""

    def take(self) -> tuple[Image, int] | None:
        """Return the next picture and its stamp in ns, or None if none comes for a moment."""
        with self._condition:
            if self._waiting is None:
                self._condition.wait(TAKE_TIMEOUT_S)
            taken, self._waiting = self._waiting, None
            self._condition.notify_all()
        return taken

    @property
    def exhausted(self) -> bool:
        """Whether the source has ended and its last picture has been taken."""
        return self.done.is_set() and self._waiting is None

    def close(self) -> None:
        """Let a source that waits go on; what it still offers is dropped."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()


def record(
    source: Source,
    sink: Recorder,
    duration_s: float,
    *,
    opened: Callable[[SourceInfo], Any] = lambda info: None,
    tick: Callable[[float], Any] = lambda elapsed_s: None,
) -> SourceInfo:
    """Record until the source ends, the time is over, or Ctrl-C; then stop the source.

    Args:
        source: not yet opened.
        sink: takes what comes.
        duration_s: how long to record from a live source, from its first data on; a file is read to
            its end.
        opened: told what the source is before it starts.
        tick: called a few times per second with the time recorded so far.

    Raises:
        SourceError: it cannot be opened, or it failed.
    """
    info = source.open()
    opened(info)
    begin_s = time.monotonic()
    try:
        source.start(_as_sink(sink))
        while not sink.done.wait(TICK_S):
            tick(sink.elapsed_s)
            total_s = time.monotonic() - begin_s
            given_up = total_s >= (LONGEST * duration_s if sink.elapsed_s else SILENT_S)
            if info.live and (sink.elapsed_s >= duration_s or given_up):
                break
    except KeyboardInterrupt:
        sink.remark("stopped by Ctrl-C")
    finally:
        source.stop()
    if sink.error is not None:
        raise sink.error
    return info


def shrink(image: Image) -> NDArray[np.uint8]:
    """RGB uint8 [H, W, 3] to grey uint8 [h, `GREY_WIDTH_PX`], each pixel the mean of those it covers."""
    height, width = image.shape[:2]
    size = (GREY_WIDTH_PX, max(1, round(GREY_WIDTH_PX * height / width)))
    small: NDArray[np.uint8] = cv2.cvtColor(
        cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY
    )
    return small


def _as_sink(sink: Sink) -> Sink:
    """Let the type checker see that the sinks here are sinks."""
    return sink
