"""Whether a session does its work, and if not, why. Pure: times are handed in."""

from __future__ import annotations

from dataclasses import dataclass

from stream_avs.timing.source_watch import SourceStatus
from stream_avs.types import NS_PER_S, SourceState

_WORKING = (SourceState.LIVE, SourceState.SILENT)


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """The verdict. `reason` is empty when `live`."""

    live: bool
    reason: str = ""


def judge(
    now_ns: int,
    last_mask_ns: int | None,
    source: SourceStatus,
    silent_after_s: float,
    *,
    restarting: bool = False,
) -> Health:
    """Judge a session.

    Args:
        now_ns: monotonic time.
        last_mask_ns: when the newest mask came; None before the first.
        source: how it is. Without sound it still works: its masks say so.
        silent_after_s: without a mask for this long the session is not live.
        restarting: the worker is being replaced.
    """
    if restarting:
        return Health(live=False, reason="the worker is being replaced")
    if source.state not in _WORKING:
        why = f": {source.detail}" if source.detail else ""
        return Health(live=False, reason=f"the source is {source.state}{why}")
    if last_mask_ns is None:
        return Health(live=False, reason="no mask yet")
    silent_s = (now_ns - last_mask_ns) / NS_PER_S
    if silent_s > silent_after_s:
        return Health(live=False, reason=f"no mask for {silent_s:.1f} s")
    return Health(live=True)
