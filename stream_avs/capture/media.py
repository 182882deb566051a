"""Files and network streams: picture and sound of one container, each with its own stamps."""

from __future__ import annotations

import threading
from pathlib import Path

from stream_avs.capture.address import redact
from stream_avs.capture.base import Sink, SourceInfo
from stream_avs.capture.container import connection_errors, is_live, open_container, source_error
from stream_avs.capture.media_file import FilePlayback
from stream_avs.capture.media_live import LiveStream
from stream_avs.capture.worker import Worker
from stream_avs.clock import MonotonicClock, monotonic_ns
from stream_avs.config import MediaConfig, ReconnectConfig
from stream_avs.types import NS_PER_S


class Media:
    """A source that reads a file or a network stream (rtsp, udp, tcp, http) with PyAV.

    A file is played once or in a loop, by its own time stamps or as fast as the sink takes it; so is
    a file behind http(s), which is told from a live stream by its known length. A live stream that
    is lost is opened again.

    Args:
        address: path or address.
        config: pace, loop and network settings.
        reconnect: delays between attempts to open a live stream again.
        frame_id: name of the camera's optical frame, put on every frame.
        clock: the monotonic clock.
    """

    def __init__(
        self,
        address: str | Path,
        config: MediaConfig | None = None,
        reconnect: ReconnectConfig | None = None,
        *,
        frame_id: str = "camera",
        clock: MonotonicClock = monotonic_ns,
    ) -> None:
        self._address = str(address)
        self._config = config or MediaConfig()
        self._reconnect = reconnect or ReconnectConfig()
        self._frame_id = frame_id
        self._clock = clock
        self._name = redact(self._address)
        self._player: FilePlayback | LiveStream | None = None
        self._worker: Worker | None = None

    def open(self) -> SourceInfo:
        """Open it; see `Source.open`.

        Raises:
            SourceError: it is not there, refused, silent, not media, or has no video track.
            MissingPackageError: PyAV is not installed.
        """
        begun_ns = self._clock()
        container = open_container(self._address, self._config)
        try:
            if is_live(self._address, container):
                self._player = LiveStream(
                    self._address,
                    self._name,
                    self._config,
                    self._reconnect,
                    frame_id=self._frame_id,
                    clock=self._clock,
                    container=container,
                    opened_s=(self._clock() - begun_ns) / NS_PER_S,
                )
            else:
                self._player = FilePlayback(
                    self._address,
                    self._name,
                    self._config,
                    frame_id=self._frame_id,
                    clock=self._clock,
                    container=container,
                )
        except connection_errors() as error:
            raise source_error(self._address, error, self._config.timeout_s) from None
        return self._player.info

    def start(self, sink: Sink) -> None:
        """Begin to hand over; see `Source.start`."""
        if self._player is None:
            raise RuntimeError("start() before open()")
        self._worker = Worker(f"media {self._name}", lambda stop: self._run(sink, stop), sink)
        self._worker.start()

    def _run(self, sink: Sink, stop: threading.Event) -> None:
        assert self._player is not None
        self._player.run(sink, stop)

    def stop(self) -> None:
        """End playback and close it; see `Source.stop`. A read that hangs ends by its own timeout."""
        if self._worker is not None:
            self._worker.stop()
        elif self._player is not None:
            self._player.close()
            self._player = None
