"""When samples were taken: by counting them, steered by the capture times the driver reports.

Pure: no devices. Callbacks come in pairs and bursts (median 20 ms, 5th percentile 0.07 ms, 95th
41 ms were measured for blocks of 20 ms), and drivers do not flag what they lose; the count of the
samples against the clock is what tells the truth.
"""

from __future__ import annotations

from stream_avs.capture.base import Sink
from stream_avs.capture.sample_queue import Captured
from stream_avs.capture.sink_ledger import SinkLedger
from stream_avs.timing.clock_filter import ClockFilter, Noise
from stream_avs.timing.foreign_clock import ForeignClock
from stream_avs.types import NS_PER_MS, NS_PER_S, Event, StampSource

LOSS_NS = 15 * NS_PER_MS
"""Less is left to the clock filter; it lies above the gap that the audio ring closes by itself."""

LOSS_AFTER_NS = 150 * NS_PER_MS
LOSS_READINGS = 4
"""Samples are missing once so many blocks, over so long, all say so."""

LOSS_SPREAD_NS = 15 * NS_PER_MS
"""Readings that disagree by more are a driver in trouble, not a loss of one size."""


class MicrophoneTime:
    """Stamps for the consecutive blocks of one opened microphone.

    Args:
        rate_hz: nominal sample rate.
        sink: told of lost samples and clock events.
    """

    def __init__(self, rate_hz: int, sink: Sink) -> None:
        self._rate_hz = rate_hz
        self._sink = sink
        self._ledger = SinkLedger(sink)
        self._stream_clock = ForeignClock(self._ledger)
        self._filter: ClockFilter | None = None
        self._source = StampSource.DRIVER
        self._index = 0
        self._late: list[tuple[int, int]] = []

    @property
    def stamp_source(self) -> StampSource:
        """DRIVER, or ARRIVAL where the driver reports no capture times."""
        return self._source

    @property
    def drift_ppm(self) -> float:
        """By how much the samples come faster than nominal."""
        return self._filter.drift_ppm if self._filter else 0.0

    def place(self, captured: Captured) -> int:
        """Take the next block and return the monotonic time of its first sample in ns."""
        if captured.overflowed:
            self._sink.event(Event.AUDIO_OVERRUN, captured.called_ns, "the driver lost samples")
        if captured.lost:
            self._skip(captured.lost, captured.called_ns, "capture was not served in time")
        reading_ns = self._reading_ns(captured)
        if self._filter is None:
            noise = Noise.SYMMETRIC if self._source is StampSource.DRIVER else Noise.DELAY
            self._filter = ClockFilter(self._rate_hz, ledger=self._ledger, noise=noise)
        elif self._filter.ready:
            self._look_for_loss(reading_ns, self._filter)
        self._filter.update(self._index, reading_ns)
        stamp_ns = self._filter.stamp_ns(self._index)
        self._index += len(captured.samples)
        return stamp_ns

    def _reading_ns(self, captured: Captured) -> int:
        """Monotonic time of the block's first sample, as far as this one block tells."""
        if self._filter is None and captured.adc_s <= 0:
            self._source = StampSource.ARRIVAL
        if self._source is StampSource.ARRIVAL:
            return captured.called_ns - round(len(captured.samples) * NS_PER_S / self._rate_hz)
        self._stream_clock.observe(round(captured.stream_s * NS_PER_S), captured.called_ns)
        return self._stream_clock.to_monotonic_ns(round(captured.adc_s * NS_PER_S))

    def _look_for_loss(self, reading_ns: int, clock: ClockFilter) -> None:
        error_ns = reading_ns - clock.stamp_ns(self._index)
        if error_ns < LOSS_NS:
            self._late.clear()
            return
        self._late.append((reading_ns, error_ns))
        errors_ns = [error for _, error in self._late[-LOSS_READINGS:]]
        if (
            len(self._late) >= LOSS_READINGS
            and reading_ns - self._late[0][0] >= LOSS_AFTER_NS
            and max(errors_ns) - min(errors_ns) <= LOSS_SPREAD_NS
        ):
            lost = round(min(errors_ns) * self._rate_hz / NS_PER_S)
            self._skip(lost, reading_ns, "the samples fell behind the clock")
            self._late.clear()

    def _skip(self, lost: int, at_ns: int, why: str) -> None:
        self._index += lost
        self._sink.event(Event.AUDIO_OVERRUN, at_ns, f"{lost / self._rate_hz * 1000:.0f} ms lost: {why}")
