"""ROS time to the monotonic clock and back.

ROS time is the wall clock, which is set and slewed, or a simulation's, which runs at any pace, stops
and starts over. Inside, everything runs on the monotonic clock.
"""

from __future__ import annotations

from stream_avs.clock import MonotonicClock, monotonic_ns
from stream_avs.ledger import Ledger
from stream_avs.timing.foreign_clock import ForeignClock
from stream_avs.types import NS_PER_MS, Event

BACKWARDS_NS = 1 * NS_PER_MS
"""ROS time that goes back by more than this has started over."""


class RosClock:
    """Offset between ROS time and the monotonic clock. Not thread-safe.

    - Wall time: the offset is filtered and follows when the clock is set (`ForeignClock`), so stamps
      taken before and after a step stay where they belong.
    - Simulated time: the offset is fixed at the first reading, so that pictures and sound keep their
      distance whatever the pace of the simulation; when time starts over, it is fixed anew such that
      converted times go on growing.

    Args:
        ledger: counts CLOCK_SNAP.
        simulated: True under `use_sim_time`.
        clock: the monotonic clock.
    """

    def __init__(
        self, ledger: Ledger, *, simulated: bool = False, clock: MonotonicClock = monotonic_ns
    ) -> None:
        self._ledger = ledger
        self.simulated = simulated
        self._clock = clock
        self._wall = ForeignClock(ledger)
        self._sim_offset_ns: int | None = None
        self._newest_ros_ns = 0
        self._newest_ns = 0

    def observe(self, ros_ns: int) -> bool:
        """Take a reading of ROS time made just now; True if it has started over since the last.

        Zero, which ROS gives while it waits for the first /clock, is ignored.
        """
        if ros_ns <= 0:
            return False
        now_ns = self._clock()
        if not self.simulated:
            self._wall.observe(ros_ns, now_ns)
            return False
        back = self._sim_offset_ns is not None and ros_ns < self._newest_ros_ns - BACKWARDS_NS
        if back:
            self._ledger.record(Event.CLOCK_SNAP, now_ns, "simulated time started over")
        if back or self._sim_offset_ns is None:
            self._sim_offset_ns = max(now_ns, self._newest_ns + BACKWARDS_NS) - ros_ns
            self._newest_ros_ns = ros_ns
        self._newest_ros_ns = max(self._newest_ros_ns, ros_ns)
        return back

    @property
    def ready(self) -> bool:
        """True once there is a reading."""
        return self._sim_offset_ns is not None if self.simulated else self._wall.ready

    def to_monotonic_ns(self, ros_ns: int) -> int:
        """Convert a ROS time.

        Raises:
            LookupError: there is no reading yet.
        """
        converted_ns = ros_ns + self._offset_ns
        self._newest_ns = max(self._newest_ns, converted_ns)
        return converted_ns

    def to_ros_ns(self, monotonic_ns: int) -> int:
        """Convert a monotonic time; see `to_monotonic_ns` for the error."""
        return monotonic_ns - self._offset_ns

    @property
    def _offset_ns(self) -> int:
        if not self.simulated:
            return self._wall.offset_ns
        if self._sim_offset_ns is None:
            raise LookupError("the clock has not been read yet")
        return self._sim_offset_ns
