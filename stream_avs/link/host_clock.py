"""The sender's monotonic clock on ours."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

from stream_avs.ledger import Ledger
from stream_avs.timing.foreign_clock import ForeignClock

WINDOW_S = 30.0
"""Two machines' clocks drift apart by at most about 100 ppm: 3 ms in this time."""
SNAP_S = 0.5
"""Longer delays of a network than of a local clock reading are no step of the clock."""


def host_id() -> str:
    """A name of this boot of this machine: where it is equal, the monotonic clock is the same."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # Containers may have monotonic clocks of their own (time namespaces).
        namespace = Path("/proc/self/ns/time")
        boot += namespace.readlink().name if namespace.exists() else ""
    except OSError:
        boot = uuid.uuid4().hex
    return hashlib.sha256(boot.encode()).hexdigest()[:16]


class HostClock:
    """Maps the sender's monotonic times onto ours from when messages left and arrived.

    A message can arrive late but never early, so the least of arrival minus departure is the offset,
    too large by the quickest journey: some tenths of a millisecond on a local network. Pictures and
    sound share it, so they stay together exactly.

    Args:
        host: of the sender, see `host_id`.
        ledger: counts CLOCK_SNAP.
        own_host: of this machine.
    """

    def __init__(self, host: str, ledger: Ledger, *, own_host: str) -> None:
        self._same = host == own_host
        self._clock = ForeignClock(ledger, window_s=WINDOW_S, snap_s=SNAP_S)

    def observe(self, sent_ns: int, arrived_ns: int) -> None:
        """Take note that a message sent at `sent_ns` (theirs) arrived at `arrived_ns` (ours)."""
        if not self._same:
            self._clock.observe(sent_ns, arrived_ns)

    def to_ours_ns(self, theirs_ns: int) -> int:
        """Convert a time of the sender; call after the first `observe`."""
        return theirs_ns if self._same else self._clock.to_monotonic_ns(theirs_ns)
