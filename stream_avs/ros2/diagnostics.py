"""What a node says on /diagnostics (REP-107): two statuses, one of input and one of masks. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from stream_avs.engine.statistics import Snapshot
from stream_avs.ros2.fields import DIAGNOSTIC_ARRAY, Byte, Fields, Header, header_fields
from stream_avs.types import ResultState, SourceState

OK, WARN, ERROR, STALE = 0, 1, 2, 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """One line of /diagnostics.

    Attributes:
        level: OK, WARN, ERROR or STALE.
        name: "node: subcomponent".
        message: a few words.
        values: figures as text, in order.
    """

    level: int
    name: str
    message: str
    values: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class InputHealth:
    """What has come in, as of now.

    Attributes:
        frames, audio_blocks: since activation.
        frame_age_s, audio_age_s: since the newest arrived; infinite before the first.
        last_error: what was wrong with the latest message that could not be read; "" if none was.
        incompatible: topics whose publisher offers another quality of service than is asked for.
    """

    frames: int
    audio_blocks: int
    frame_age_s: float
    audio_age_s: float
    last_error: str = ""
    incompatible: tuple[str, ...] = ()


SILENT_AFTER_S = 2.0
"""Input that has not come for this long is missed."""


def input_status(node: str, health: InputHealth) -> Status:
    """Whether pictures and sound arrive."""
    level, message = OK, "pictures and sound arrive"
    if health.last_error:
        level, message = WARN, f"a message could not be read: {health.last_error}"
    if health.audio_age_s > SILENT_AFTER_S:
        level, message = WARN, _missing("sound", health.audio_age_s, health.audio_blocks)
    if health.frame_age_s > SILENT_AFTER_S:
        level, message = ERROR, _missing("pictures", health.frame_age_s, health.frames)
    if health.incompatible:
        level, message = ERROR, f"incompatible quality of service on {', '.join(health.incompatible)}"
    values = {
        "frames": str(health.frames),
        "audio blocks": str(health.audio_blocks),
        "newest frame, s ago": _number(health.frame_age_s),
        "newest sound, s ago": _number(health.audio_age_s),
    }
    return Status(level=level, name=f"{node}: input", message=message, values=values)


def mask_status(node: str, snapshot: Snapshot, budget_ms: float) -> Status:
    """Whether masks are made in time.

    Args:
        node: name of the node.
        snapshot: of the pipeline.
        budget_ms: age beyond which masks are late.
    """
    level, message = OK, f"{snapshot.masks_per_s:.1f} masks/s"
    if snapshot.masks_per_s == 0:
        level, message = STALE, "no masks lately"
    elif snapshot.state is ResultState.NO_AUDIO:
        level, message = WARN, "masks are empty: their sound is missing"
    elif snapshot.age_p95_ms > budget_ms:
        level, message = WARN, f"masks are {snapshot.age_p95_ms:.0f} ms old (p95)"
    source = snapshot.source
    if source.state in (SourceState.RECONNECTING, SourceState.FAILED):
        level, message = ERROR, f"source {source.state.value}: {source.detail}"
    values = {
        "source": f"{source.state.value}: {source.detail}" if source.detail else source.state.value,
        "masks": str(snapshot.masks),
        "masks per s": _number(snapshot.masks_per_s),
        "age p50, ms": _number(snapshot.age_p50_ms),
        "age p95, ms": _number(snapshot.age_p95_ms),
        "audio level, dBFS": _number(snapshot.audio_level_dbfs),
        "sounding": ", ".join(s.name for s in snapshot.sounding) or "nothing",
        **{f"{stage}, ms": _number(ms) for stage, ms in snapshot.stages_p50_ms.items()},
        **{event.value: str(count) for event, count in snapshot.counts.items()},
    }
    return Status(level=level, name=f"{node}: masks", message=message, values=values)


def diagnostics_fields(statuses: tuple[Status, ...], hardware_id: str, header: Header) -> Fields:
    """`diagnostic_msgs/DiagnosticArray`."""
    return Fields(
        DIAGNOSTIC_ARRAY,
        {"header": header_fields(header), "status": tuple(_status(s, hardware_id) for s in statuses)},
    )


def _status(status: Status, hardware_id: str) -> Fields:
    values = tuple(
        Fields("diagnostic_msgs/msg/KeyValue", {"key": key, "value": value})
        for key, value in status.values.items()
    )
    return Fields(
        "diagnostic_msgs/msg/DiagnosticStatus",
        {
            "level": Byte(status.level),
            "name": status.name,
            "message": status.message,
            "hardware_id": hardware_id,
            "values": values,
        },
    )


def _missing(what: str, age_s: float, count: int) -> str:
    return f"no {what} for {age_s:.0f} s" if count else f"no {what} yet"


def _number(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else "none"
