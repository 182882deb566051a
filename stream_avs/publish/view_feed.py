"""Between the threads of a live session and the page's server: cheap while watched, free while not.

Capture and worker threads only copy and append here; packing runs on the server's thread.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stream_avs.capture.base import Sink, SourceInfo
from stream_avs.capture.passing_sink import PassingSink
from stream_avs.errors import StreamAvsError
from stream_avs.timing.source_watch import UNKNOWN, SourceStatus, SourceWatch
from stream_avs.types import AudioBlock, Image, MaskResult, SourceState, StampSource

MAX_PICTURE_BYTES = 64_000_000
"""Pictures that wait for their masks, per stream."""
MAX_RESULTS = 8
MAX_BLOCKS = 64


@dataclass(slots=True)
class StreamFeed:
    """What waits to be shown of one stream."""

    pictures: OrderedDict[int, Image] = field(default_factory=OrderedDict)
    picture_bytes: int = 0
    results: deque[MaskResult] = field(default_factory=lambda: deque(maxlen=MAX_RESULTS))
    blocks: deque[AudioBlock] = field(default_factory=lambda: deque(maxlen=MAX_BLOCKS))
    told: SourceStatus = UNKNOWN
    watch: SourceWatch | None = None
    source: str = ""

    @property
    def status(self) -> SourceStatus:
        """What is seen of the source; what was told if it is not seen, or cannot be shown."""
        if self.watch is None or self.told.state is SourceState.FAILED:
            return self.told
        return self.watch.status()


class ViewFeed:
    """Takes pictures, sound and results of any number of streams. Thread-safe.

    Attributes:
        watched: somebody looks; while False, nothing is kept.
        wake: called after something came, from any thread; set by the server.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams: dict[str, StreamFeed] = {}
        self.watched = False
        self.wake: Callable[[], None] = lambda: None

    def picture(self, stream: str, image: Image, stamp_ns: int) -> None:
        """Keep a copy of one RGB picture until its mask has come."""
        if not self.watched:
            return
        image = image.copy()
        with self._lock:
            feed = self._feed(stream)
            feed.pictures[stamp_ns] = image
            feed.picture_bytes += image.nbytes
            while feed.picture_bytes > MAX_PICTURE_BYTES and len(feed.pictures) > 1:
                feed.picture_bytes -= feed.pictures.popitem(last=False)[1].nbytes

    def sound(self, stream: str, block: AudioBlock) -> None:
        """Keep one block of sound, whose samples must not change."""
        if not self.watched:
            return
        with self._lock:
            self._feed(stream).blocks.append(block)
        self.wake()

    def publish(self, result: MaskResult) -> None:
        """Keep one result; returns at once."""
        if not self.watched:
            return
        with self._lock:
            self._feed(result.stream).results.append(result)
        self.wake()

    def tell(self, stream: str, state: SourceState, text: str = "", source: str = "") -> None:
        """Say how a source is that no tap sees."""
        with self._lock:
            feed = self._feed(stream)
            feed.told = SourceStatus(state=state, detail=text)
            feed.source = source or feed.source

    def watch(self, stream: str, source: str) -> SourceWatch:
        """Return what is to follow that stream's source from now on; `source` is its name."""
        with self._lock:
            feed = self._feed(stream)
            feed.source, feed.watch = source, SourceWatch()
            return feed.watch

    def tap(self, stream: str) -> Callable[[Sink, SourceInfo], Sink]:
        """Return a tap for a pipeline of that stream."""

        def wrap(sink: Sink, info: SourceInfo) -> Sink:
            return _Tap(sink, self, stream, self.watch(stream, info.name))

        return wrap

    def streams(self) -> dict[str, dict[str, Any]]:
        """State of every source, for the page."""
        with self._lock:
            return {
                name: {"state": feed.status.state.value, "text": feed.status.detail, "source": feed.source}
                for name, feed in self._streams.items()
            }

    def take(self) -> list[tuple[str, list[MaskResult], list[AudioBlock]]]:
        """Take all results and sound that wait, by stream."""
        with self._lock:
            taken = []
            for name, feed in self._streams.items():
                taken.append((name, list(feed.results), list(feed.blocks)))
                feed.results.clear()
                feed.blocks.clear()
            return taken

    def take_picture(self, stream: str, stamp_ns: int) -> Image | None:
        """Take the picture of that stamp; older ones will not be asked for any more."""
        with self._lock:
            feed = self._feed(stream)
            while feed.pictures and next(iter(feed.pictures)) < stamp_ns:
                feed.picture_bytes -= feed.pictures.popitem(last=False)[1].nbytes
            image = feed.pictures.pop(stamp_ns, None)
            feed.picture_bytes -= 0 if image is None else image.nbytes
            return image

    def newest_picture(self, stream: str) -> tuple[int, Image] | None:
        """Take the newest picture, for a stream whose masks do not come."""
        with self._lock:
            feed = self._feed(stream)
            newest = feed.pictures.popitem() if feed.pictures else None
            feed.pictures.clear()
            feed.picture_bytes = 0
            return newest

    def forget(self) -> None:
        """Nobody looks any more: let go of everything."""
        with self._lock:
            for feed in self._streams.values():
                feed.pictures.clear()
                feed.picture_bytes = 0
                feed.results.clear()
                feed.blocks.clear()

    def _feed(self, stream: str) -> StreamFeed:
        return self._streams.setdefault(stream, StreamFeed())


class _Tap(PassingSink):
    """Shows what passes to the feed."""

    def __init__(self, sink: Sink, feed: ViewFeed, stream: str, watch: SourceWatch) -> None:
        super().__init__(sink)
        self._view = feed
        self._stream = stream
        self._watch = watch

    def frame(
        self,
        image: Image,
        stamp_ns: int,
        arrival_ns: int,
        *,
        frame_id: str = "camera",
        stamp_source: StampSource = StampSource.ARRIVAL,
    ) -> None:
        self._watch.frame()
        self._view.picture(self._stream, image, stamp_ns)
        super().frame(image, stamp_ns, arrival_ns, frame_id=frame_id, stamp_source=stamp_source)

    def audio(self, block: AudioBlock) -> None:
        self._watch.sound()
        if self._view.watched:
            copied = AudioBlock(
                samples=block.samples.copy(),
                stamp_ns=block.stamp_ns,
                sample_rate_hz=block.sample_rate_hz,
                stamp_source=block.stamp_source,
            )
            self._view.sound(self._stream, copied)
        super().audio(block)

    def announce(self, state: SourceState, detail: str = "") -> None:
        self._watch.announce(state, detail)
        super().announce(state, detail)

    def audio_ended(self) -> None:
        self._watch.announce(SourceState.SILENT, "no sound in this source")
        super().audio_ended()

    def ended(self, error: StreamAvsError | None = None) -> None:
        self._watch.announce(SourceState.FAILED if error else SourceState.ENDED, error.what if error else "")
        super().ended(error)
