"""Playing a recording: both tracks in the order they are due, paced by the clock or by the sink.

Each track is read through a demuxer of its own. One demuxer for both would have to keep decoded
pictures in memory wherever a file stores its sound far from its picture.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from stream_avs.capture.base import Sink, SourceInfo
from stream_avs.capture.container import (
    connection_errors,
    import_av,
    open_container,
    pick_tracks,
    source_error,
)
from stream_avs.capture.media_items import (
    Item,
    Picture,
    Sound,
    read_pictures,
    read_sounds,
    until_picture,
    until_sound,
)
from stream_avs.capture.timeline import HOLE_NS, PlaybackClock, Splices
from stream_avs.clock import MonotonicClock
from stream_avs.config import MediaConfig, Pace
from stream_avs.errors import SourceError
from stream_avs.types import NS_PER_S, AudioBlock, Event, StampSource

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

AUDIO_LEAD_NS = 2 * NS_PER_S
"""When played fast, sound goes this far ahead: as far as a calibrated shift may reach.

A frame waits for its sound, and the sink blocks when many frames wait; were the sound behind them
in the queue, nothing would move any more.
"""

DECLARES_LENGTH = frozenset({"mov", "mp4", "matroska", "webm"})
"""Formats whose header states the length; for others FFmpeg estimates it."""

CUT_SHORT_S = 0.5
"""A recording that ends so much before its declared length has been cut short."""


class FilePass:
    """One pass through a file: its first picture is decoded at once, so `info` is what will come.

    Raises:
        SourceError: not media, no video track, or no picture can be decoded.
    """

    def __init__(
        self, address: str, name: str, config: MediaConfig, container: InputContainer | None = None
    ) -> None:
        self._name = name
        self._containers = [container or open_container(address, config)]
        try:
            self._open_tracks(address, config)
        except BaseException:
            self.close()
            raise

    def _open_tracks(self, address: str, config: MediaConfig) -> None:
        splices = Splices()
        video, audio = pick_tracks(self._containers[0], self._name)
        video.thread_type = "AUTO"
        pictures = read_pictures(self._containers[0], video, splices)
        self._early, first_picture = until_picture(pictures)
        if first_picture is None:
            raise SourceError(f"no picture of {self._name} can be decoded", "Check that it plays elsewhere")
        sounds: Iterator[Item] = iter(())
        first_sound: Sound | None = None
        if audio is not None:
            self._containers.append(open_container(address, config))
            audio = self._containers[1].streams.audio[0]
            sounds = read_sounds(self._containers[1], audio, splices)
            early, first_sound = until_sound(sounds)
            self._early += early
        self._pictures = itertools.chain([first_picture], pictures)
        self._sounds = itertools.chain([first_sound] if first_sound else [], sounds)
        self.has_audio = first_sound is not None
        self.start_ns = min(item.start_ns for item in (first_picture, first_sound) if item)
        self.info = _describe(self._name, self._containers[0], video, first_picture, first_sound)

    def items(self, due: Callable[[Item], int]) -> Iterator[Item]:
        """Yield both tracks, ordered by `due`; sound before picture when equal."""
        return itertools.chain(self._early, heapq.merge(self._sounds, self._pictures, key=due))

    def missing_s(self, end_ns: int) -> float:
        """How much a recording lacks that its header promises, having ended at `end_ns`; 0 for nothing."""
        if not DECLARES_LENGTH & set(self._containers[0].format.name.split(",")):
            return 0.0
        # Some formats declare the length from zero, others from the first stamp.
        played_ns = max(end_ns, end_ns - self.start_ns)
        missing_s = self.info.duration_s - played_ns / NS_PER_S
        return missing_s if missing_s > CUT_SHORT_S else 0.0

    def close(self) -> None:
        """Close the file; may be called twice."""
        for container in self._containers:
            container.close()


class FilePlayback:
    """Plays a file into a sink.

    Args:
        address: path or http(s) address.
        name: the same without credentials.
        config: pace and loop.
        frame_id: name of the camera's optical frame.
        clock: the monotonic clock.
        container: already open, to be used for the first pass.
    """

    def __init__(
        self,
        address: str,
        name: str,
        config: MediaConfig,
        *,
        frame_id: str,
        clock: MonotonicClock,
        container: InputContainer | None = None,
    ) -> None:
        self._address = address
        self._name = name
        self._config = config
        self._frame_id = frame_id
        self._clock = clock
        self._pass = FilePass(address, name, config, container)
        self.info = self._pass.info

    def close(self) -> None:
        """Free the file; only when `run` is not running."""
        self._pass.close()

    def run(self, sink: Sink, stop: threading.Event) -> None:
        """Play until the end, or until `stop` is set.

        Raises:
            SourceError: the file or the connection behind it failed.
        """
        playback = PlaybackClock(self._clock, lambda seconds: not stop.wait(seconds))
        stamp_ns = self._clock()
        try:
            while True:
                playback.align(self._pass.start_ns, stamp_ns)
                end_ns = self._play(playback, sink, stop)
                if end_ns is None:
                    return
                stamp_ns = playback.stamp_ns(end_ns)
                missing_s = self._pass.missing_s(end_ns)
                if missing_s > 0:
                    detail = f"the file ends {missing_s:.1f} s before its declared end"
                    sink.event(Event.DECODE_ERROR, stamp_ns, detail)
                if not self._config.loop:
                    break
                self._pass.close()
                self._pass = FilePass(self._address, self._name, self._config)
                sink.discontinuity("loop", stamp_ns)
        except connection_errors() as error:
            raise source_error(self._address, error, self._config.timeout_s) from None
        finally:
            self._pass.close()
        sink.ended()

    def _play(self, playback: PlaybackClock, sink: Sink, stop: threading.Event) -> int | None:
        """Play one pass; return the media time at its end, or None when stopped."""
        realtime = self._config.pace is Pace.REALTIME
        if not self._pass.has_audio:
            sink.audio_ended()
        last_ns = end_ns = self._pass.start_ns
        for item in self._pass.items(_due_live if realtime else _due_fast):
            if item.start_ns - last_ns > HOLE_NS:
                playback.align(item.start_ns, playback.stamp_ns(end_ns))
                sink.discontinuity("gap", playback.stamp_ns(item.start_ns))
            if realtime and not self._keep_pace(playback, _due_live(item), sink):
                return None
            if stop.is_set():
                return None
            self._deliver(item, playback, sink)
            last_ns = max(last_ns, item.start_ns)
            end_ns = max(end_ns, item.end_ns)
        if realtime and not playback.wait_until(end_ns):
            return None
        return end_ns

    def _keep_pace(self, playback: PlaybackClock, media_ns: int, sink: Sink) -> bool:
        slip_ns = playback.slip_ns(media_ns)
        if slip_ns:
            playback.shift(slip_ns)
            sink.discontinuity("playback cannot keep up", playback.stamp_ns(media_ns))
        return playback.wait_until(media_ns)

    def _deliver(self, item: Item, playback: PlaybackClock, sink: Sink) -> None:
        stamp_ns = playback.stamp_ns(item.start_ns)
        if isinstance(item, Picture):
            sink.frame(
                item.image,
                stamp_ns,
                self._clock(),
                frame_id=self._frame_id,
                stamp_source=StampSource.CONTAINER,
            )
        elif isinstance(item, Sound):
            sink.audio(
                AudioBlock(
                    samples=item.samples,
                    stamp_ns=stamp_ns,
                    sample_rate_hz=item.rate_hz,
                    stamp_source=StampSource.CONTAINER,
                )
            )
        else:
            sink.event(item.event, stamp_ns, item.detail)


def _due_live(item: Item) -> int:
    """A microphone has a block when its last sample has sounded; a camera a frame when it is taken."""
    return item.end_ns if isinstance(item, Sound) else item.start_ns


def _due_fast(item: Item) -> int:
    return item.start_ns - AUDIO_LEAD_NS if isinstance(item, Sound) else item.start_ns


def _describe(
    name: str, container: InputContainer, video: VideoStream, picture: Picture, sound: Sound | None
) -> SourceInfo:
    height_px, width_px = picture.image.shape[:2]
    return SourceInfo(
        name=name,
        width_px=width_px,
        height_px=height_px,
        fps=float(video.average_rate or 0),
        sample_rate_hz=sound.rate_hz if sound else 0,
        channels=sound.samples.shape[1] if sound else 0,
        live=False,
        duration_s=(container.duration or 0) / import_av().time_base,
        notes=() if sound else ("no sound in this file: nothing will be marked as sounding",),
    )
