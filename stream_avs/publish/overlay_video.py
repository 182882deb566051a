"""A video of what was seen and heard, with the masks drawn in.

Drawing and encoding run on a thread of their own behind a bounded queue: a worker that hands in a
frame never waits, and what the thread cannot keep up with is dropped and counted.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from stream_avs.errors import PublishError
from stream_avs.ledger import Ledger
from stream_avs.publish.draw import overlay_result
from stream_avs.publish.movie_file import WRITE_ERRORS, MovieFile
from stream_avs.types import AudioBlock, Event, Image, MaskResult

_MAX_SOUND_S = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Picture:
    image: Image
    result: MaskResult | None
    stamp_ns: int


class OverlayWriter:
    """Writes a video file with masks and sound; a context manager.

    The file begins with the first picture. Pictures and sound are placed by their stamps.
    `frame` and `audio` may be called from any thread.

    Args:
        path: .mp4, .m4v, .mov or .mkv; what is there is overwritten.
        size: (width, height) of the picture in pixels; frames of another size are scaled.
        fps: about how many frames a second will come.
        sample_rate_hz: rate of the sound; None for a file without.
        ledger: counts what was dropped as `Event.PUBLISH_DROP`.
        queue: frames that may wait to be written.
        wait: make `frame` and `audio` wait for room instead of dropping; for sources that can wait.
        opacity: of the masks' tint, 0..1.

    Attributes:
        written: frames in the file so far.
        dropped: frames that came too fast, or with a stamp that is not later than the one before.
        error: why writing has stopped, e.g. a full disk; None while all is well.

    Raises:
        PublishError: the file cannot be written.
        MissingPackageError: PyAV or OpenCV is not installed.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        fps: float,
        sample_rate_hz: int | None,
        *,
        ledger: Ledger | None = None,
        queue: int = 8,
        wait: bool = False,
        opacity: float = 0.5,
    ) -> None:
        self._path = path
        self._movie = MovieFile(path, size, fps, sample_rate_hz)
        self._with_sound = sample_rate_hz is not None
        self._ledger = ledger if ledger is not None else Ledger()
        self._capacity = queue
        self._wait = wait
        self._opacity = opacity
        self.written = self.dropped = 0
        self.error: PublishError | None = None
        self._changed = threading.Condition()
        self._items: deque[_Picture | AudioBlock] = deque()
        self._pictures_waiting = 0
        self._sound_waiting_s = 0.0
        self._closing = False
        self._start_ns: int | None = None
        self._early: deque[AudioBlock] = deque()
        self._early_s = 0.0
        self._thread = threading.Thread(target=self._work, name="overlay-writer", daemon=True)
        self._thread.start()

    def frame(self, image: Image, result: MaskResult | None, stamp_ns: int) -> None:
        """Hand in one RGB image, uint8 [H, W, 3], with the mask that belongs to it; it is copied."""
        with self._changed:
            if self._wait:
                self._changed.wait_for(lambda: self._pictures_waiting < self._capacity or self._is_over())
            if self._is_over():
                return
            if self._pictures_waiting >= self._capacity:
                self._drop(stamp_ns, "the overlay video cannot keep up")
                return
            self._pictures_waiting += 1
        item = _Picture(image=image.copy(), result=result, stamp_ns=stamp_ns)
        with self._changed:
            self._items.append(item)
            self._changed.notify_all()

    def audio(self, block: AudioBlock) -> None:
        """Hand in consecutive samples; they must not change afterwards."""
        length_s = _length_s(block)
        with self._changed:
            if self._wait:
                self._changed.wait_for(lambda: self._sound_waiting_s <= _MAX_SOUND_S or self._is_over())
            if not self._with_sound or self._is_over():
                return
            if self._sound_waiting_s > _MAX_SOUND_S:
                self._drop_sound(block)
                return
            self._sound_waiting_s += length_s
            self._items.append(block)
            self._changed.notify_all()

    def close(self) -> None:
        """Write what waits and finish the file. May be called twice. See `error` for what went wrong."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def __enter__(self) -> OverlayWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _is_over(self) -> bool:
        return self._closing or self.error is not None

    def _work(self) -> None:
        try:
            self._write_all()
        except WRITE_ERRORS as error:
            self._fail(error)
        finally:
            with self._changed:
                self._closing = True
                self._changed.notify_all()

    def _write_all(self) -> None:
        try:
            while (item := self._next()) is not None:
                if isinstance(item, _Picture):
                    self._write_picture(item)
                else:
                    self._write_sound(item)
        finally:
            self._movie.close()

    def _next(self) -> _Picture | AudioBlock | None:
        """Wait for the next item; None when closing and nothing is left."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or (self._closing and not self._pictures_waiting))
            if not self._items:
                return None
            item = self._items.popleft()
            if isinstance(item, _Picture):
                self._pictures_waiting -= 1
            else:
                self._sound_waiting_s -= _length_s(item)
            self._changed.notify_all()
            return item

    def _write_picture(self, item: _Picture) -> None:
        if self._start_ns is None:
            self._start_ns = item.stamp_ns
            for block in self._early:
                self._write_sound(block)
            self._early.clear()
        image = item.image
        if item.result is not None:
            image = overlay_result(image, item.result, opacity=self._opacity)
        if self._movie.picture(image, item.stamp_ns - self._start_ns):
            self.written += 1
        else:
            self._drop(item.stamp_ns, "stamp not later than that of the frame before")

    def _write_sound(self, block: AudioBlock) -> None:
        if self._start_ns is None:
            # Sound is ready before the mask of its frame: keep it until the first picture says when 0 is.
            self._early.append(block)
            self._early_s += _length_s(block)
            while self._early_s > _MAX_SOUND_S:
                oldest = self._early.popleft()
                self._early_s -= _length_s(oldest)
                self._drop_sound(oldest)
            return
        self._movie.sound(block.samples, block.stamp_ns - self._start_ns, block.sample_rate_hz)

    def _drop(self, stamp_ns: int, why: str) -> None:
        self.dropped += 1
        self._ledger.record(Event.PUBLISH_DROP, stamp_ns, why)

    def _drop_sound(self, block: AudioBlock) -> None:
        self._ledger.record(Event.PUBLISH_DROP, block.stamp_ns, "sound of the overlay video")

    def _fail(self, error: Exception) -> None:
        """Note why writing has stopped."""
        with self._changed:
            self.error = PublishError(
                f"cannot write on in {self._path} after {self.written} frames: {error}",
                "Free some space or choose another disk",
            )
            self._items.clear()
            self._pictures_waiting = 0
            self._changed.notify_all()
        self._ledger.record(Event.PUBLISH_DROP, self._start_ns or 0, self.error.what)


def _length_s(block: AudioBlock) -> float:
    return len(block.samples) / block.sample_rate_hz
