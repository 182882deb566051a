"""Events of the ledger as log lines."""

from __future__ import annotations

import logging

from stream_avs.ledger import Entry
from stream_avs.types import FRAME_DROPS, Event

_LOGGER = logging.getLogger("stream_avs.events")

_NORMAL = (FRAME_DROPS - {Event.STEP_ERROR, Event.DECODE_ERROR}) | {
    Event.AUDIO_OVERLAP,
    Event.AUDIO_LATE,
    Event.CLOCK_OUTLIER,
}
"""What happens to a healthy stream now and then: told at level info, all else is a warning."""


def log_event(entry: Entry, count: int) -> None:
    """Log one entry of the ledger; give it to `Ledger.tell`."""
    level = logging.INFO if entry.event in _NORMAL else logging.WARNING
    fields: dict[str, object] = {"event": entry.event.value, "stamp_ns": entry.stamp_ns, "count": count}
    message = entry.detail or entry.event.value
    _LOGGER.log(level, "%s", message, extra={"key": f"event {entry.event}", "fields": fields})
