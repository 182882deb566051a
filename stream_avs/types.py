"""The dataclasses that travel along the arrows of the pipeline.

    Frame, AudioBlock  ->  Window  ->  MaskResult

Time is int nanoseconds on this machine's monotonic clock (`time.monotonic_ns`); wall time appears
only at the edges. Images are RGB uint8 [H, W, 3]; audio is float32 in [-1, 1].
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000

Image = NDArray[np.uint8]
Samples = NDArray[np.float32]
ClassMap = NDArray[np.uint8]


class StampSource(enum.StrEnum):
    """Where a capture stamp comes from, best first."""

    DRIVER = "driver"  # V4L2 buffer stamp, PortAudio ADC time
    CONTAINER = "container"  # presentation time of a file or network stream
    SYNTHETIC = "synthetic"  # computed, exact
    ARRIVAL = "arrival"  # the moment the data reached us: late by the device's own delay


class SourceState(enum.StrEnum):
    """How a source is, in the same words for status line, diagnostics and page."""

    WAITING = "waiting"  # open, but no picture comes: not yet, or not for a while
    LIVE = "live"  # pictures come, and sound
    SILENT = "silent"  # pictures come, sound does not
    RECONNECTING = "reconnecting"  # lost, and being opened again
    ENDED = "ended"  # nothing more will come, as intended
    FAILED = "failed"  # nothing more will come, because of an error


class Event(enum.StrEnum):
    """Everything out of the ordinary that happens to data on its way. All are counted."""

    # a frame that will not get a mask
    SUPERSEDED = "superseded"  # a newer frame was there before the worker was free (freshest)
    STALE = "stale"  # older than the staleness budget when the worker was free
    LATE_STAMP = "late_stamp"  # stamp older than one already stored
    DUPLICATE_STAMP = "duplicate_stamp"  # stamp equal to the newest stored
    RING_HELD = "ring_held"  # every slot of the ring is in use by a reader
    DECODE_ERROR = "decode_error"  # damaged packet or image
    STEP_ERROR = "step_error"  # the model failed on this window
    POISONED = "poisoned"  # the engine gave numbers that are none, or its device was lost
    WORKER_LOST = "worker_lost"  # in the worker's hands when it died or hung
    SKIPPED = "skipped"  # left out so that other masks are in time (overload ladder)
    PAUSED = "paused"  # came while the session was paused
    SHUTDOWN = "shutdown"  # still waiting when the pipeline was stopped
    # audio
    AUDIO_GAP = "audio_gap"  # samples lost; filled with silence and marked missing
    AUDIO_OVERLAP = "audio_overlap"  # samples that arrived twice, or late; not stored
    AUDIO_OVERRUN = "audio_overrun"  # the device or its queue lost samples
    AUDIO_LATE = "audio_late"  # the wait for a frame's audio ran out
    CLOCK_OUTLIER = "clock_outlier"  # a time reading the clock filter did not believe
    CLOCK_SNAP = "clock_snap"  # the clock filter started over
    # the stream
    DISCONTINUITY = "discontinuity"  # gap, seek, loop, source or geometry change
    OVERLOAD = "overload"  # the overload ladder went a rung down or up
    RECONNECT = "reconnect"  # the source was lost and opened again
    RESTART = "restart"  # the worker was replaced, with a fresh engine or a fresh session
    WALL_CLOCK = "wall_clock"  # the wall clock was set; stamps run on, their Unix time follows
    PUBLISH_DROP = "publish_drop"  # a result a publisher could not hand on
    COMMAND = "command"  # carried out over the control socket
    REFUSED = "refused"  # a client or a request from outside that was not let in


FRAME_DROPS = frozenset(
    {
        Event.SUPERSEDED,
        Event.STALE,
        Event.LATE_STAMP,
        Event.DUPLICATE_STAMP,
        Event.RING_HELD,
        Event.DECODE_ERROR,
        Event.STEP_ERROR,
        Event.POISONED,
        Event.WORKER_LOST,
        Event.SKIPPED,
        Event.PAUSED,
        Event.SHUTDOWN,
    }
)
"""The events that mean "one captured frame will not get a mask"."""


class ResultState(enum.StrEnum):
    """What a subscriber may expect of a result."""

    OK = "ok"
    RESET = "reset"  # first result after carried state was cleared
    NO_AUDIO = "no_audio"  # the frame's audio is missing: nothing can sound in this mask
    STALE = "stale"  # an older mask, held because the engine could not keep up


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Frame:
    """One image as captured.

    Attributes:
        image: uint8 [H, W, 3], RGB. May be a view into a ring slot: valid while its window is held.
        stamp_ns: capture time, monotonic.
        arrival_ns: when it reached this process, monotonic.
        seq: running number given by the ring, without holes for stored frames.
        frame_id: name of the camera's optical frame (REP-103), copied to every result.
        stamp_source: where `stamp_ns` comes from.
    """

    image: Image
    stamp_ns: int
    arrival_ns: int
    seq: int = -1
    frame_id: str = "camera"
    stamp_source: StampSource = StampSource.ARRIVAL


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AudioBlock:
    """Consecutive samples as captured.

    Attributes:
        samples: float32 [n, channels] in [-1, 1].
        stamp_ns: capture time of the first sample, monotonic.
        sample_rate_hz: samples per second and channel.
        stamp_source: where `stamp_ns` comes from.
    """

    samples: Samples
    stamp_ns: int
    sample_rate_hz: int
    stamp_source: StampSource = StampSource.ARRIVAL


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Window:
    """What one step of a session sees: the newest frame, those before it, and the audio of each.

    Attributes:
        frames: T frames, oldest first, newest last. At the start of a stream and after a
            discontinuity the oldest frame since then is repeated.
        audio: float32 [T, n], mono; row k ends at the stamp of frame k (after the calibrated
            camera-microphone shift). Missing samples are zero.
        audio_coverage: float32 [T] in [0, 1], the share of each row that was really captured.
        sample_rate_hz: rate of `audio`.
        distinct: how many of `frames` are different frames (1..T).
        reset: True when carried state must be cleared before this window.
        reset_reason: why, e.g. "start", "gap", "seek", "geometry", "request"; "" when not reset.
        spacing_ns: wanted time between the frames; 0 for consecutive ones.
    """

    frames: tuple[Frame, ...]
    audio: Samples
    audio_coverage: NDArray[np.float32]
    sample_rate_hz: int
    distinct: int
    reset: bool = False
    reset_reason: str = ""
    spacing_ns: int = 0

    @property
    def newest(self) -> Frame:
        """The frame this window asks a mask for."""
        return self.frames[-1]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sounding:
    """One class that is heard and seen.

    Attributes:
        class_id: id used in the mask, 1..254.
        name: human-readable label.
        score: how sure, 0..1.
        area: share of the mask's pixels with this id, 0..1.
    """

    class_id: int
    name: str
    score: float
    area: float


Affine = tuple[float, float, float, float, float, float]
"""Row-major 2x3 matrix (a, b, c, d, e, f): x_src = a*x + b*y + c, y_src = d*x + e*y + f."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MaskResult:
    """Which pixels make the sound, for one frame.

    Attributes:
        mask: uint8 [h, w] class ids at network size; 0 = not sounding, 255 = reserved.
        confidence: uint8 [h, w], probability of the winning class times 255, or None.
        stream: name of the stream.
        seq: number of the source frame.
        window_seq: running number of results of this session, without holes.
        stamp_ns: capture stamp of the source frame, monotonic clock of the producing machine.
        arrival_ns: when the source frame reached the producing process, same clock.
        publish_ns: when the result left the worker, same clock.
        unix_offset_ns: unix time minus monotonic time on the producing machine at publishing.
        frame_id: camera frame of the source image.
        source_size: (width, height) of the source image in pixels.
        transform: maps mask pixel centres to source pixel centres, see `Affine`.
        labels: name of every class id the model can produce.
        sounding: the classes present in this mask, highest score first.
        sounding_score: how sure the model is that anything visible sounds, 0..1.
        audio_level_dbfs: RMS level of the newest frame's audio context, <= 0; -120 for silence.
        state: see `ResultState`.
        reset_reason: why carried state was cleared; "" unless `state` is reset.
        dropped: frames without a mask since the previous result.
        timeshift_cam_mic_ns: the calibrated shift that was applied.
        model_id: preset and weight hash, e.g. "consensus-1f2e3d4c".
        latency_ms: milliseconds per stage, in order of the stages; keys are stage names.
    """

    mask: ClassMap
    confidence: NDArray[np.uint8] | None = None
    stream: str
    seq: int
    window_seq: int
    stamp_ns: int
    arrival_ns: int
    publish_ns: int
    unix_offset_ns: int
    frame_id: str
    source_size: tuple[int, int]
    transform: Affine
    labels: dict[int, str]
    sounding: tuple[Sounding, ...]
    sounding_score: float
    audio_level_dbfs: float
    state: ResultState
    reset_reason: str = ""
    dropped: int = 0
    timeshift_cam_mic_ns: int = 0
    model_id: str = ""
    latency_ms: dict[str, float] = field(default_factory=dict)

    @property
    def age_ms(self) -> float:
        """Milliseconds from capture to the moment the result left the worker."""
        return (self.publish_ns - self.stamp_ns) / NS_PER_MS
