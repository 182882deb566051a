"""Records a live session: taps what the source hands over, listens to results, writes on its own thread.

Capture and worker threads only copy and queue. What the disk cannot take is left out, counted, and
noted in the recording itself, for a recording with a hole does not replay equally.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Protocol

from stream_avs.capture.base import Sink, SourceInfo
from stream_avs.capture.passing_sink import PassingSink
from stream_avs.clock import MonotonicClock, monotonic_ns
from stream_avs.errors import PublishError, StreamAvsError, WireError
from stream_avs.ledger import Ledger
from stream_avs.record import codec
from stream_avs.record.config import Picture, RecordConfig
from stream_avs.record.items import AudioItem, FrameItem, Item, NoteItem, NoteKind, ResultItem
from stream_avs.record.ring import Ring
from stream_avs.record.writer import MB, RecordingInfo, RecordingWriter
from stream_avs.types import NS_PER_S, AudioBlock, Event, Image, MaskResult, StampSource

COUNTS_EVERY_NS = NS_PER_S


class Recorder:
    """Records one pipeline; a context manager. Give `tap` and `publish` to the pipeline.

    Args:
        config: where and how.
        info: what goes to the head of the file; `source` is filled in by `tap`.
        ledger: counts what was left out; its counts are recorded every second.
        wait: hold the source up rather than leave anything out (files played fast).
        clock: the monotonic clock.

    Attributes:
        left_out: items that could not be recorded.
        error: why recording has stopped, e.g. a full disk; None while all is well.

    Raises:
        PublishError: the file exists or cannot be made.
    """

    def __init__(
        self,
        config: RecordConfig,
        info: RecordingInfo,
        ledger: Ledger,
        *,
        wait: bool = False,
        clock: MonotonicClock = monotonic_ns,
    ) -> None:
        self._config = config
        self._info = info
        self._ledger = ledger
        self._wait = wait
        self._clock = clock
        self._changed = threading.Condition()
        self._items: deque[Item | None] = deque()  # None asks for a save of the ring
        self._waiting_bytes = 0
        self._closing = False
        self._hole = ""
        self._out: RecordingWriter | Ring | None = None
        self._counted_ns = 0
        self.left_out = 0
        self.error: PublishError | None = None
        if not config.ring_s and Path(config.path).exists() and not config.overwrite:
            raise PublishError(f"{config.path} exists", "Choose another file, or use --record.overwrite")
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)

    def tap(self, sink: Sink, source: SourceInfo) -> Sink:
        """Begin the recording and return a sink that passes everything on to `sink`.

        Raises:
            PublishError: the file cannot be made.
        """
        info = replace(self._info, source=codec.to_json(source))
        if self._config.ring_s:
            self._out = Ring(info, self._config)
        else:
            self._out = RecordingWriter(Path(self._config.path), info, self._config)
        self._thread.start()
        return ItemTap(sink, self, self._clock)

    def publish(self, result: MaskResult) -> None:
        """Record one result; returns at once."""
        self.put(ResultItem(result=result, log_ns=self._clock()))

    def put(self, item: Item) -> None:
        """Queue an item, or leave it out where the queue is full."""
        with self._changed:
            if self._wait:
                self._changed.wait_for(lambda: self._has_room() or self._is_over())
            if self._is_over() or self._out is None:
                return
            # Notes are small and say what happened: they always find room.
            if not self._has_room() and not isinstance(item, NoteItem):
                self._leave_out(item)
                return
            if self._hole:
                self._items.append(NoteItem(kind=NoteKind.HOLE, name=self._hole, log_ns=item.log_ns))
                self._hole = ""
            self._items.append(item)
            self._waiting_bytes += size_of(item)
            self._changed.notify_all()

    def save(self) -> None:
        """Ask a ring recording to keep its last seconds. May be called from a signal handler."""
        self._items.append(None)

    def status(self) -> str:
        """A few words on progress, e.g. "12 s, 330 MB"."""
        out = self._out
        if self.error is not None:
            return "stopped"
        if isinstance(out, Ring):
            saved = f", {len(out.saved)} saved" if out.saved else ""
            return f"last {out.seconds:.0f} s, {out.size_bytes / MB:.0f} MB{saved}"
        if out is None or out.first_ns is None:
            return f"not begun: {out.full}" if out and out.full else "not begun"
        state = f", ended: {out.full}" if out.full else ""
        return f"{(out.last_ns - out.first_ns) / NS_PER_S:.0f} s, {out.size_bytes / MB:.0f} MB{state}"

    @property
    def full(self) -> str:
        """The limit that has ended the recording; "" if none has."""
        return self._out.full if isinstance(self._out, RecordingWriter) else ""

    def report(self) -> str:
        """One line for the end: where the recording is, and what is missing in it."""
        if self.error is not None:
            return f"recording {self._config.path} is not whole: {self.error}"
        out = self._out
        if isinstance(out, Ring):
            kept = ", ".join(str(path) for path in out.saved)
            return f"recording: {kept or f'nothing was saved in {self._config.path}'}"
        left_out = f"; {self.left_out} items left out, the disk was too slow" if self.left_out else ""
        lossy = (
            "; pictures are JPEG: a replay is not bit-equal" if self._config.picture is Picture.JPEG else ""
        )
        return f"recording: {self._config.path} ({self.status()}{left_out}{lossy})"

    def close(self) -> None:
        """Write what waits and finish the file. May be called twice."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _has_room(self) -> bool:
        return self._waiting_bytes <= self._config.queue_mb * MB

    def _is_over(self) -> bool:
        return self._closing or self.error is not None

    def _leave_out(self, item: Item) -> None:
        self._hole = {FrameItem: "frame", AudioItem: "audio"}.get(type(item), "result")
        self.left_out += 1
        self._ledger.record(Event.PUBLISH_DROP, item.log_ns, "the recording cannot keep up")

    def _work(self) -> None:
        out = self._out
        assert out is not None
        try:
            while self._step(out):
                pass
            out.close() if isinstance(out, Ring) else out.close(self._counts())
        except OSError as error:
            self._fail(f"writing failed after {out.size_bytes / MB:.0f} MB: {error.strerror}", out)
        except StreamAvsError as error:
            self._fail(error.what, out)
        except Exception as error:
            # A bug: whoever waits for room must be let go, and the traceback be seen.
            self._fail(f"internal error {error!r}", out)
            raise

    def _step(self, out: RecordingWriter | Ring) -> bool:
        """Write what waits; False at the end."""
        with self._changed:
            # `save` cannot notify from a signal handler, so the wait has an end.
            self._changed.wait_for(lambda: self._items or self._closing, timeout=0.25)
            if not self._items:
                return not self._closing
            item = self._items.popleft()
        if item is None:
            if isinstance(out, Ring):
                out.save(time.strftime("%Y%m%d-%H%M%S") + f"-{len(out.saved)}")
            return True
        try:
            out.write(item)
            self._count(out, item.log_ns)
        except (ValueError, WireError) as error:
            self.left_out += 1
            self._ledger.record(Event.PUBLISH_DROP, item.log_ns, f"not recorded: {error}")
        with self._changed:
            self._waiting_bytes -= size_of(item)
            self._changed.notify_all()
        return True

    def _count(self, out: RecordingWriter | Ring, log_ns: int) -> None:
        if log_ns - self._counted_ns >= COUNTS_EVERY_NS:
            self._counted_ns = log_ns
            out.write(NoteItem(kind=NoteKind.COUNTS, text=codec.to_json(self._counts()), log_ns=log_ns))

    def _counts(self) -> dict[str, int]:
        return {event.value: n for event, n in self._ledger.counts().items()}

    def _fail(self, what: str, out: RecordingWriter | Ring) -> None:
        with self._changed:
            self.error = PublishError(
                f"{what}; what came before is safe", "Free some space, or use another disk"
            )
            self._items.clear()
            self._changed.notify_all()
        self._ledger.record(Event.PUBLISH_DROP, self._clock(), what)
        if isinstance(out, RecordingWriter):
            out.abandon()


def size_of(item: Item) -> int:
    """Bytes an item holds while it waits."""
    if isinstance(item, FrameItem):
        return item.image.nbytes
    if isinstance(item, AudioItem):
        return item.block.samples.nbytes
    if isinstance(item, ResultItem):
        confidence = item.result.confidence
        return item.result.mask.nbytes + (0 if confidence is None else confidence.nbytes)
    return 0


class ItemStore(Protocol):
    """Something items are put into; returns at once, or waits where the source can."""

    def put(self, item: Item) -> None:
        """Take one item, whose arrays will not change."""


class ItemTap(PassingSink):
    """Copies what passes and puts it into a store."""

    def __init__(self, sink: Sink, recorder: ItemStore, clock: MonotonicClock) -> None:
        super().__init__(sink)
        self._recorder = recorder
        self._clock = clock

    def frame(
        self,
        image: Image,
        stamp_ns: int,
        arrival_ns: int,
        *,
        frame_id: str = "camera",
        stamp_source: StampSource = StampSource.ARRIVAL,
    ) -> None:
        item = FrameItem(
            image=image.copy(),
            stamp_ns=stamp_ns,
            arrival_ns=arrival_ns,
            frame_id=frame_id,
            stamp_source=stamp_source,
            log_ns=self._clock(),
        )
        self._recorder.put(item)
        super().frame(image, stamp_ns, arrival_ns, frame_id=frame_id, stamp_source=stamp_source)

    def audio(self, block: AudioBlock) -> None:
        item = AudioItem(block=replace(block, samples=block.samples.copy()), log_ns=self._clock())
        self._recorder.put(item)
        super().audio(block)

    def event(self, event: Event, stamp_ns: int, detail: str = "") -> None:
        self._note(NoteKind.EVENT, event.value, detail, stamp_ns)
        super().event(event, stamp_ns, detail)

    def discontinuity(self, reason: str, stamp_ns: int) -> None:
        self._note(NoteKind.DISCONTINUITY, "", reason, stamp_ns)
        super().discontinuity(reason, stamp_ns)

    def audio_ended(self) -> None:
        self._note(NoteKind.AUDIO_ENDED)
        super().audio_ended()

    def ended(self, error: StreamAvsError | None = None) -> None:
        self._note(NoteKind.ENDED, text=error.what if error is not None else "")
        super().ended(error)

    def _note(self, kind: NoteKind, name: str = "", text: str = "", stamp_ns: int = 0) -> None:
        note = NoteItem(kind=kind, name=name, text=text, stamp_ns=stamp_ns, log_ns=self._clock())
        self._recorder.put(note)
