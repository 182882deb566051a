"""Every figure there is, each with its meaning; METRICS.md is made from this table."""

from __future__ import annotations

from stream_avs.observe.exposition import Kind, Metric
from stream_avs.types import FRAME_DROPS, Event


def _counter(name: str, what: str, *labels: str) -> Metric:
    return Metric(name=name, kind=Kind.COUNTER, help=what, labels=labels)


def _gauge(name: str, what: str, *labels: str) -> Metric:
    return Metric(name=name, kind=Kind.GAUGE, help=what, labels=labels)


INFO = _gauge("stream_avs_info", "Always 1; what runs.", "version", "stream", "model")
FRAMES = _counter("stream_avs_frames", "Frames captured.")
MASKS = _counter("stream_avs_masks", "Masks made.")
EVENTS = _counter(
    "stream_avs_events",
    "Everything out of the ordinary; frames = masks + frame drops + at most a window still waiting.",
    "event", "frame_drop",
)  # fmt: skip
AGE = Metric(
    name="stream_avs_mask_age_seconds",
    kind=Kind.HISTOGRAM,
    help="From the capture of a frame to the moment its mask is there.",
)
MASK_RATE = _gauge("stream_avs_masks_per_second", "Masks per second over the last five seconds.")
RECENT_AGE = _gauge(
    "stream_avs_recent_mask_age_seconds", "Age quantiles over the last five seconds.", "quantile"
)
STAGE = _gauge("stream_avs_stage_seconds", "Median time of a stage over the last five seconds.", "stage")
SOURCE = _gauge("stream_avs_source_state", "1 for the state the source is in, 0 for the others.", "state")
SINCE_MASK = _gauge(
    "stream_avs_since_last_mask_seconds", "Time since the newest mask; +Inf before the first."
)
STATE = _gauge("stream_avs_result_state", "1 for the state of the newest mask, 0 for the others.", "state")
RUNG = _gauge(
    "stream_avs_overload_rung", 'Always 1; "full", or what has been given up to be in time.', "rung"
)
SOUNDING = _gauge("stream_avs_sounding_score", "How sure it is that a class sounds, 0..1.", "label")
SOUNDING_AREA = _gauge("stream_avs_sounding_area_ratio", "Share of the picture that sounds.", "label")
LEVEL = _gauge("stream_avs_audio_level_dbfs", "RMS level of the newest mask's sound, at most 0.")
READERS = _gauge("stream_avs_subscribers", "Subscriptions to the masks over ZeroMQ.")
LIVE = _gauge("stream_avs_live", "1 while /healthz answers 200, else 0.")
SUPPRESSED = _counter(
    "stream_avs_log_suppressed", "Log lines left out because there were too many of a kind."
)
MEMORY = _gauge("process_resident_memory_bytes", "Memory that lies in RAM.")
HEAP = _gauge("stream_avs_heap_bytes", "Memory allocated and not freed; 0 where it cannot be told.")
FILES = _gauge("process_open_fds", "Open file descriptors.")
THREADS = _gauge("process_threads", "Threads.")
CPU = _counter("process_cpu_seconds", "Processor time used.")

METRICS: tuple[Metric, ...] = (
    INFO, FRAMES, MASKS, EVENTS, AGE, MASK_RATE, RECENT_AGE, STAGE, SOURCE, SINCE_MASK, STATE, RUNG, SOUNDING,
    SOUNDING_AREA, LEVEL, READERS, LIVE, SUPPRESSED, MEMORY, HEAP, FILES, THREADS, CPU,
)  # fmt: skip

EVENT_HELP: dict[Event, str] = {
    Event.SUPERSEDED: "a newer frame was there before the worker was free; normal when masks are slower",
    Event.STALE: "the frame was older than `window.staleness_budget_s` when the worker was free",
    Event.LATE_STAMP: "the frame's stamp is older than one already stored",
    Event.DUPLICATE_STAMP: "the frame's stamp is that of the newest stored",
    Event.RING_HELD: "every slot of the frame ring is being read; raise `window.frame_slots`",
    Event.DECODE_ERROR: "a damaged packet or image",
    Event.STEP_ERROR: "the network failed on this window",
    Event.POISONED: "the network gave numbers that are none, or its device was lost; it is rebuilt",
    Event.WORKER_LOST: "in the worker's hands when it died or hung; the worker is replaced",
    Event.SKIPPED: "left out by the overload ladder so that other masks are in time",
    Event.PAUSED: "came while the session was paused",
    Event.SHUTDOWN: "still waiting when the session was stopped",
    Event.AUDIO_GAP: "samples lost; filled with silence and marked missing",
    Event.AUDIO_OVERLAP: "samples that came twice or late; not stored",
    Event.AUDIO_OVERRUN: "the microphone or its queue lost samples",
    Event.AUDIO_LATE: "the wait for a frame's sound ran out (`window.audio_wait_s`)",
    Event.CLOCK_OUTLIER: "a time reading that the clock filter did not believe",
    Event.CLOCK_SNAP: "the clock filter started over: the device's clock jumped",
    Event.DISCONTINUITY: "a gap, a seek, a loop, or another source or geometry; carried state is cleared",
    Event.OVERLOAD: "the overload ladder went a rung down or up",
    Event.RECONNECT: "a source was lost and opened again",
    Event.RESTART: "the worker was replaced, with a fresh engine or a fresh session",
    Event.WALL_CLOCK: "the wall clock was set; stamps run on, their Unix time follows",
    Event.PUBLISH_DROP: "a result that a publisher, recorder or overlay could not hand on",
    Event.COMMAND: "carried out over the control socket",
    Event.REFUSED: "a client or a request from outside that was not let in",
}


def document() -> str:
    """The text of METRICS.md."""
    rows = [
        f"| `{m.sample_name}` | {m.kind} | {', '.join(f'`{name}`' for name in m.labels) or '-'} | {m.help} |"
        for m in METRICS
    ]
    events = [
        f"| `{event}` | {'yes' if event in FRAME_DROPS else 'no'} | {EVENT_HELP[event]} |" for event in Event
    ]
    return "\n".join([
        "# Metrics of a running session",
        "",
        "`stream-avs run --metrics.address 127.0.0.1:9108 ...` serves `/metrics` (Prometheus text, or",
        "OpenMetrics 1.0 to who asks for it) and `/healthz`: 200 while masks come, 503 with the reason when",
        "not. `launch/grafana.json` is a dashboard for them. Ages are seconds on the monotonic clock, from",
        "capture to mask.",
        "",
        "| metric | kind | labels | meaning |",
        "|---|---|---|---|",
        *rows,
        "",
        "The values of `event` in `stream_avs_events_total`, which are those of `stream_avs.types.Event`:",
        "",
        "| event | frame without a mask | meaning |",
        "|---|---|---|",
        *events,
        "",
    ])  # fmt: skip
