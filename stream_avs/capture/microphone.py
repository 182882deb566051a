"""Microphones of this machine, through PortAudio.

The library's callback copies into a preallocated queue and does nothing else; a thread takes the
blocks out, stamps them and hands them on.
"""

from __future__ import annotations

import threading

from stream_avs.capture.base import Sink, SourceInfo
from stream_avs.capture.microphone_time import MicrophoneTime
from stream_avs.capture.portaudio import (
    AudioLibrary,
    Format,
    InputStream,
    MicrophoneInfo,
    load_library,
    pick_microphone,
)
from stream_avs.capture.reconnect import Reconnect
from stream_avs.capture.sample_queue import SampleQueue
from stream_avs.capture.worker import Worker
from stream_avs.clock import MonotonicClock, monotonic_ns
from stream_avs.config import MicrophoneBackend, MicrophoneConfig, ReconnectConfig
from stream_avs.errors import SourceError
from stream_avs.types import NS_PER_S, AudioBlock, Samples

__all__ = ["Microphone", "MicrophoneInfo", "list_microphones"]

QUEUE_S = 2.0
"""Sound the queue holds while the draining thread is kept from running."""

POLL_S = 0.005
"""The callback must not wake anybody up (that takes a lock), so the queue is looked at so often."""

STALL_NS = 2 * NS_PER_S
"""A microphone silent for so long, not quiet but without any samples, is opened again."""


def list_microphones(backend: MicrophoneBackend = MicrophoneBackend.AUTO) -> list[MicrophoneInfo]:
    """Return the devices that record, in PortAudio's order.

    Raises:
        MissingPackageError: neither library is installed, or PortAudio is not.
    """
    return load_library(backend).devices()


class Microphone:
    """A source of audio only. A stalled microphone is looked for and opened again.

    One that was asked for by its number is known by its name from then on, for numbers change when
    devices come and go. The ring sees the time without samples as a gap; the picture goes on, so no
    discontinuity is told.

    Args:
        config: device and format.
        reconnect: delays between attempts to open it again.
        clock: the monotonic clock.
    """

    def __init__(
        self,
        config: MicrophoneConfig | None = None,
        reconnect: ReconnectConfig | None = None,
        *,
        clock: MonotonicClock = monotonic_ns,
    ) -> None:
        self._config = config or MicrophoneConfig()
        self._wanted = self._config.device
        self._reconnect_config = reconnect or ReconnectConfig()
        self._clock = clock
        self._library: AudioLibrary | None = None
        self._stream: InputStream | None = None
        self._queue = SampleQueue(1, 1, 1)
        self._rate_hz = 0
        self._name = "microphone"
        self._worker: Worker | None = None

    def open(self) -> SourceInfo:
        """Open the microphone; see `Source.open`.

        Raises:
            SourceError: no such device, an ambiguous name (the message lists what there is), or a
                format it does not take.
            MissingPackageError: a library is missing.
        """
        self._library = load_library(self._config.backend)
        device = self._open_stream(self._library)
        notes: tuple[str, ...] = ()
        if self._library.name == "pyaudio" and self._config.backend is MicrophoneBackend.AUTO:
            notes = ("sounddevice is missing, pyaudio is used",)
        return SourceInfo(
            name=self._name,
            sample_rate_hz=self._rate_hz,
            channels=self._config.channels,
            notes=(*notes, f"{device.host_api} through {self._library.name}"),
        )

    def start(self, sink: Sink) -> None:
        """Begin to capture; see `Source.start`."""
        if self._stream is None:
            raise RuntimeError("start() before open()")
        self._worker = Worker(self._name, lambda stop: self._run(sink, stop), sink)
        self._worker.start()

    def stop(self) -> None:
        """End capture; see `Source.stop`. A device that hangs is let go of when it answers."""
        if self._worker is not None:
            self._worker.stop()
        else:
            self._close()

    def _open_stream(self, library: AudioLibrary) -> MicrophoneInfo:
        config = self._config
        devices = library.devices()
        device = pick_microphone(devices, self._wanted)
        if self._wanted and [d.name for d in devices].count(device.name) == 1:
            self._wanted = device.name
        self._name = f"microphone {device.index} ({device.name})"
        if config.channels > device.channels:
            raise SourceError(
                f"{self._name} has {device.channels} channels, {config.channels} were asked for",
                f"Use --microphone.channels {device.channels} or less",
            )
        self._rate_hz = config.sample_rate_hz or device.default_rate_hz
        block = max(1, round(config.block_ms * self._rate_hz / 1000))
        slots = max(4, round(QUEUE_S * self._rate_hz / block))
        queue = SampleQueue(slots, block, config.channels)
        clock = self._clock

        def on_block(samples: Samples, adc_s: float, stream_s: float, overflowed: bool) -> None:
            queue.push(samples, adc_s, stream_s, clock(), overflowed)

        form = Format(
            rate_hz=self._rate_hz, channels=config.channels, block=block, latency_s=config.latency_s
        )
        self._stream = library.open(device, form, on_block)
        self._queue = queue
        return device

    def _run(self, sink: Sink, stop: threading.Event) -> None:
        reconnect = Reconnect(self._name, self._reconnect_config, sink, self._clock)
        assert self._stream is not None
        try:
            self._stream.start()
            while not stop.is_set():
                self._capture(reconnect, sink, stop)
                if stop.is_set():
                    return
                self._reopen(reconnect, stop)
        finally:
            self._close()

    def _capture(self, reconnect: Reconnect, sink: Sink, stop: threading.Event) -> None:
        """Hand over blocks until stopped, or until none come any more."""
        time = MicrophoneTime(self._rate_hz, sink)
        heard_ns = self._clock()
        while not stop.wait(POLL_S):
            while (captured := self._queue.pop()) is not None and not stop.is_set():
                heard_ns = self._clock()
                if reconnect.lost:
                    reconnect.back()
                stamp_ns = time.place(captured)
                sink.audio(
                    AudioBlock(
                        samples=captured.samples,
                        stamp_ns=stamp_ns,
                        sample_rate_hz=self._rate_hz,
                        stamp_source=time.stamp_source,
                    )
                )
            if self._clock() - heard_ns > STALL_NS:
                return

    def _reopen(self, reconnect: Reconnect, stop: threading.Event) -> None:
        assert self._library is not None
        for _ in reconnect.attempts(f"no samples from {self._name}; opening it again", stop):
            self._close()
            self._library.refresh()
            try:
                self._open_stream(self._library)
                assert self._stream is not None
                self._stream.start()
            except SourceError:
                self._close()
                continue
            return  # it is back when samples come

    def _close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
