"""What a recording holds, in the order in which it happened.

Times are int nanoseconds on the recording machine's monotonic clock. `log_ns` is when an item was
handed on: the source's frame to the pipeline, or the worker's result to its listeners.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from stream_avs.types import AudioBlock, Image, MaskResult, StampSource


class NoteKind(enum.StrEnum):
    """What a `Note` tells."""

    EVENT = "event"  # the source reported name = an `Event`, text = its detail
    DISCONTINUITY = "discontinuity"  # text = the reason
    AUDIO_ENDED = "audio_ended"
    ENDED = "ended"  # text = the error, if there was one
    FRAME_STAMPS = "frame_stamps"  # the frames that follow have stamps of source name
    AUDIO_STAMPS = "audio_stamps"  # likewise the audio
    COUNTS = "counts"  # text = JSON, events counted so far
    HOLE = "hole"  # the recorder could not keep up and left out name = "frame" | "audio" | "result"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FrameItem:
    """One frame as the source handed it over."""

    image: Image
    stamp_ns: int
    arrival_ns: int
    frame_id: str
    stamp_source: StampSource
    log_ns: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AudioItem:
    """One block of sound as the source handed it over."""

    block: AudioBlock
    log_ns: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ResultItem:
    """One result as the worker handed it on."""

    result: MaskResult
    log_ns: int


@dataclass(frozen=True, kw_only=True, slots=True)
class NoteItem:
    """Anything else."""

    kind: NoteKind
    name: str = ""
    text: str = ""
    stamp_ns: int = 0
    log_ns: int = 0


Item = FrameItem | AudioItem | ResultItem | NoteItem
