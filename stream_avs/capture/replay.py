"""A recording as a source: what was captured comes again, in the same order, with the same stamps.

All stamps are moved by one and the same amount, so that the first item happens now; distances
between stamps, and with them the windows, are those of the recording to the nanosecond.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import msgspec

from stream_avs.capture.base import Sink, SourceInfo
from stream_avs.capture.worker import Worker
from stream_avs.clock import MonotonicClock, monotonic_ns
from stream_avs.config import MediaConfig, Pace
from stream_avs.errors import SourceError
from stream_avs.json_input import decode_json
from stream_avs.record.items import AudioItem, FrameItem, Item, NoteItem, NoteKind
from stream_avs.record.reader import Recording
from stream_avs.types import NS_PER_S, Event

SUFFIX = ".mcap"


class Replay:
    """Plays a recording into a sink, at its own pace or as fast as the sink takes it.

    Args:
        path: an MCAP file, or a folder of segments saved by a ring recording.
        config: `pace` and `loop`.
        clock: the monotonic clock.
    """

    def __init__(
        self, path: str | Path, config: MediaConfig | None = None, *, clock: MonotonicClock = monotonic_ns
    ) -> None:
        self._path = Path(path)
        self._config = config or MediaConfig()
        self._clock = clock
        self._recording: Recording | None = None
        self._worker: Worker | None = None

    def open(self) -> SourceInfo:
        """See `Source.open`.

        Raises:
            SourceError: not there, not a recording, of a newer version, or without pictures.
            MissingPackageError: the package mcap is not installed.
        """
        recording = Recording(self._path)
        first = next((item for item in recording.items() if isinstance(item, FrameItem)), None)
        if first is None:
            raise SourceError(f"recording {self._path} holds no picture", "Record it again")
        self._recording = recording
        source = source_info(recording)
        height_px, width_px = first.image.shape[:2]
        notes: tuple[str, ...] = ()
        if recording.picture == "jpeg":
            notes = ("pictures were recorded as JPEG: windows are not bit-equal to the recorded session's",)
        return replace(
            source,
            name=f"recording {self._path} of {source.name}",
            width_px=width_px,
            height_px=height_px,
            live=False,
            notes=notes,
        )

    def start(self, sink: Sink) -> None:
        """See `Source.start`."""
        recording = self._recording
        if recording is None:
            raise RuntimeError("start() before open()")
        name = f"replay {self._path}"
        self._worker = Worker(name, lambda stop: self._run(recording, sink, stop), sink)
        self._worker.start()

    def stop(self) -> None:
        """See `Source.stop`."""
        if self._worker is not None:
            self._worker.stop()

    def _run(self, recording: Recording, sink: Sink, stop: threading.Event) -> None:
        while self._pass(recording, sink, stop) and self._config.loop:
            sink.discontinuity("loop", self._clock())
        if stop.is_set():
            return
        damage = recording.damage()
        if damage:
            sink.event(Event.DECODE_ERROR, self._clock(), damage)
        sink.ended()

    def _pass(self, recording: Recording, sink: Sink, stop: threading.Event) -> bool:
        """Play once; False when stopped."""
        shift_ns: int | None = None
        for item in recording.items():
            if shift_ns is None:
                shift_ns = self._clock() - item.log_ns
            if self._config.pace is Pace.REALTIME:
                wait_ns = item.log_ns + shift_ns - self._clock()
                if wait_ns > 0 and stop.wait(wait_ns / NS_PER_S):
                    return False
            if stop.is_set():
                return False
            deliver(item, sink, shift_ns, loop=self._config.loop)
        return True


def deliver(item: Item, sink: Sink, shift_ns: int, *, loop: bool = False) -> None:
    """Hand one item to a sink, its times moved by `shift_ns`; results and remarks are skipped.

    Args:
        loop: more will come after the end of this recording.
    """
    if isinstance(item, FrameItem):
        sink.frame(
            item.image,
            item.stamp_ns + shift_ns,
            item.arrival_ns + shift_ns,
            frame_id=item.frame_id,
            stamp_source=item.stamp_source,
        )
    elif isinstance(item, AudioItem):
        sink.audio(replace(item.block, stamp_ns=item.block.stamp_ns + shift_ns))
    elif isinstance(item, NoteItem):
        _deliver_note(item, sink, shift_ns, loop)


def source_info(recording: Recording) -> SourceInfo:
    """What the recorded source was.

    Raises:
        SourceError: the head of the recording is damaged.
    """
    try:
        return msgspec.convert(decode_json(recording.info.source), SourceInfo)
    except ValueError as error:
        raise SourceError(
            f"recording {recording.path} has a damaged head: {error}", "Record it again"
        ) from None


def _deliver_note(note: NoteItem, sink: Sink, shift_ns: int, loop: bool) -> None:
    stamp_ns = note.stamp_ns + shift_ns
    if note.kind is NoteKind.EVENT and note.name in tuple(Event):
        sink.event(Event(note.name), stamp_ns, note.text)
    elif note.kind is NoteKind.DISCONTINUITY:
        sink.discontinuity(note.text, stamp_ns)
    elif note.kind is NoteKind.HOLE:
        sink.discontinuity("hole in the recording", note.log_ns + shift_ns)
    elif note.kind is NoteKind.AUDIO_ENDED and not loop:
        sink.audio_ended()
