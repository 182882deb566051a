"""The camera's side of the join: a preallocated ring of images, keyed by capture stamp.

Overwriting is counted, never silent, and a frame that a reader holds is never overwritten.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stream_avs.ledger import Ledger
from stream_avs.types import NS_PER_MS, Event, Frame, Image, StampSource


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameEntry:
    """What the ring knows of a stored frame, without its pixels.

    Attributes:
        seq: running number, without holes for stored frames.
        stamp_ns, arrival_ns: as in `Frame`.
        segment: running number of the stretch of frames that belong together.
        reason: why that segment began: "start", "geometry" or what `break_here` was told.
        epoch: how many times `break_here` was called before the frame was pushed.
    """

    seq: int
    stamp_ns: int
    arrival_ns: int
    segment: int
    reason: str
    epoch: int


@dataclass(slots=True)
class _Stored:
    entry: FrameEntry
    frame: Frame
    pool: Image
    slot: int
    holds: int = 0


class FrameRing:
    """Rolling buffer of images. Thread-safe; meant for one reader (the join) and any writers.

    Args:
        slots: images it can hold.
        ledger: counts frames that are refused or overwritten before they were served.

    Raises:
        ValueError: `slots` is below 1.
    """

    def __init__(self, slots: int, ledger: Ledger) -> None:
        if slots < 1:
            raise ValueError(f"slots is {slots}, expected at least 1")
        self._slots = slots
        self._ledger = ledger
        # `_write` is held while pixels are copied, `_lock` only while the index changes:
        # readers never wait for a copy.
        self._write = threading.Lock()
        self._lock = threading.Lock()
        self._pool: Image | None = None
        self._free: list[int] = []
        self._stored: dict[int, _Stored] = {}  # by seq, oldest first
        self._unserved: dict[int, FrameEntry] = {}  # likewise
        self._newest: FrameEntry | None = None
        self._next_seq = 0
        self._epoch = 0
        self._break_reason = ""
        self._keep_frames = 0
        self._keep_ns = 0

    def push(
        self,
        image: Image,
        stamp_ns: int,
        arrival_ns: int,
        *,
        frame_id: str = "camera",
        stamp_source: StampSource = StampSource.ARRIVAL,
    ) -> int | None:
        """Copy one image in and return its seq, or None if it was refused (and counted).

        Args:
            image: uint8 [H, W, 3], RGB. Another size than before begins a new segment.
            stamp_ns: capture time; must grow within a segment.
            arrival_ns: when it reached this process.

        Raises:
            ValueError: wrong dtype or shape.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise ValueError(f"image is {image.dtype} {image.shape}, expected uint8 [H, W, 3]")
        with self._write:
            with self._lock:
                epoch, break_reason = self._epoch, self._break_reason
            reason = self._new_segment(image, epoch, break_reason)
            if reason is None and self._refuse_stamp(stamp_ns):
                return None
            if not self._evict(stamp_ns):
                return None
            pool = self._pool_for(image)
            slot = self._free[-1]
            # The slot is in no index now: nobody can see it while it is written.
            np.copyto(pool[slot], image)
            frame = Frame(
                image=pool[slot],
                stamp_ns=stamp_ns,
                arrival_ns=arrival_ns,
                seq=self._next_seq,
                frame_id=frame_id,
                stamp_source=stamp_source,
            )
            self._publish(_Stored(self._entry_for(frame, reason, epoch), frame, pool, slot))
        if reason is not None and frame.seq > 0:
            self._ledger.record(Event.DISCONTINUITY, stamp_ns, reason)
        return frame.seq

    def break_here(self, reason: str) -> None:
        """Let the next stored frame begin a new segment, whose stamps may go back.

        Args:
            reason: kept with the segment, e.g. "seek", "loop", "reconnect".

        Raises:
            ValueError: the reason is empty.
        """
        if not reason:
            raise ValueError("a break needs a reason")
        with self._lock:
            self._epoch += 1
            self._break_reason = reason

    def entries(self) -> list[FrameEntry]:
        """All stored frames, oldest first."""
        with self._lock:
            return [stored.entry for stored in self._stored.values()]

    def unserved(self) -> list[FrameEntry]:
        """The stored frames not yet marked served, oldest first."""
        with self._lock:
            return list(self._unserved.values())

    def mark_served(self, seq: int) -> bool:
        """Settle a frame: it was served, or its loss was counted by the caller.

        Returns:
            False if it was settled before or overwritten (and counted) meanwhile: so whoever gets
            True is the only one to account for the frame.
        """
        with self._lock:
            return self._unserved.pop(seq, None) is not None

    def hold(self, seqs: Sequence[int]) -> tuple[Frame, ...]:
        """Lease frames, all or none; their images stay valid and unchanged until `release`.

        Args:
            seqs: numbers of stored frames; one that occurs twice is held twice.

        Raises:
            KeyError: one of them is not stored (any more).
        """
        with self._lock:
            held = [self._stored[seq] for seq in seqs]
            for stored in held:
                stored.holds += 1
            return tuple(stored.frame for stored in held)

    def release(self, seqs: Sequence[int]) -> None:
        """Give leased frames back; `seqs` as given to `hold`.

        Raises:
            ValueError: one of them is not held.
        """
        with self._lock:
            for seq in seqs:
                stored = self._stored.get(seq)
                if stored is None or stored.holds == 0:
                    raise ValueError(f"frame {seq} is not held")
                stored.holds -= 1

    def keep_history(self, frames: int, span_ns: int) -> None:
        """Say what `room` must spare: served frames that the next window still looks back at.

        Args:
            frames: how many frames before the oldest unserved one.
            span_ns: how far back from the oldest unserved one.
        """
        with self._lock:
            self._keep_frames, self._keep_ns = frames, span_ns

    @property
    def room(self) -> bool:
        """True if a push would not be refused for lack of a slot, nor overwrite a frame still needed.

        Needed are the unserved frames and their history (`keep_history`).
        """
        with self._lock:
            if len(self._stored) < self._slots:
                return True
            victim = self._oldest_free()
            if victim is None or victim.seq in self._unserved:
                return False
            oldest = next(iter(self._unserved.values()), None)
            if oldest is None or victim.segment != oldest.segment:
                return True
            by_count = oldest.seq - victim.seq <= self._keep_frames
            by_time = oldest.stamp_ns - victim.stamp_ns <= self._keep_ns
            return not (by_count or by_time)

    def _new_segment(self, image: Image, epoch: int, break_reason: str) -> str | None:
        """Why this image begins a new segment, or None if it does not."""
        if self._newest is None or self._pool is None:
            return "start"
        if epoch != self._newest.epoch:
            return break_reason
        return "geometry" if image.shape != self._pool.shape[1:] else None

    def _refuse_stamp(self, stamp_ns: int) -> bool:
        assert self._newest is not None
        ahead_ns = stamp_ns - self._newest.stamp_ns
        if ahead_ns > 0:
            return False
        event = Event.LATE_STAMP if ahead_ns < 0 else Event.DUPLICATE_STAMP
        self._ledger.record(event, stamp_ns, f"{-ahead_ns / NS_PER_MS:.3f} ms before the newest")
        return True

    def _evict(self, stamp_ns: int) -> bool:
        """Free a slot if all are taken; False if readers hold them all."""
        with self._lock:
            if len(self._stored) < self._slots:
                return True
            victim = self._oldest_free()
            lost = None
            if victim is not None:
                stored = self._stored.pop(victim.seq)
                lost = self._unserved.pop(victim.seq, None)
                if stored.pool is self._pool:
                    self._free.append(stored.slot)
        if victim is None:
            self._ledger.record(Event.RING_HELD, stamp_ns, f"all {self._slots} slots are held")
        elif lost is not None:
            self._ledger.record(Event.SUPERSEDED, lost.stamp_ns, "overwritten in the ring")
        return victim is not None

    def _oldest_free(self) -> FrameEntry | None:
        return next((s.entry for s in self._stored.values() if s.holds == 0), None)

    def _pool_for(self, image: Image) -> Image:
        """The pool of this geometry. Frames of the pool before stay stored: their views keep it alive."""
        if self._pool is None or self._pool.shape[1:] != image.shape:
            self._pool = np.empty((self._slots, *image.shape), np.uint8)
            self._free = list(range(self._slots))
        return self._pool

    def _entry_for(self, frame: Frame, reason: str | None, epoch: int) -> FrameEntry:
        before = self._newest
        if before is not None and reason is None:
            segment, reason = before.segment, before.reason
        else:
            segment, reason = 0 if before is None else before.segment + 1, reason or ""
        return FrameEntry(
            seq=frame.seq,
            stamp_ns=frame.stamp_ns,
            arrival_ns=frame.arrival_ns,
            segment=segment,
            reason=reason,
            epoch=epoch,
        )

    def _publish(self, stored: _Stored) -> None:
        with self._lock:
            self._free.pop()
            self._stored[stored.entry.seq] = stored
            self._unserved[stored.entry.seq] = stored.entry
            self._newest = stored.entry
            self._next_seq += 1
