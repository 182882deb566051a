"""A network camera: the synthetic scene as MPEG-TS (H.264, AAC) to whoever connects over TCP."""

from __future__ import annotations

import select
import socket
import threading
import time
from contextlib import suppress
from fractions import Fraction
from typing import Any

import numpy as np

from stream_avs.capture.container import import_av
from stream_avs.capture.synthetic_scene import RATE_HZ, SyntheticScene
from stream_avs.clock import monotonic_ns
from stream_avs.config import SyntheticConfig
from stream_avs.types import NS_PER_S

_BLOCK = 1024
_MPEGTS = {"pes_payload_size": "0", "flush_packets": "1"}
"""Sound is sent when it is there, not in bunches."""


class Broadcast:
    """Sends from `start` to `stop`, as often as wanted, always at the same address.

    Args:
        config: the scene.

    Attributes:
        url: for `stream-avs run --source`.
        begin_ns: when the scene began, monotonic; it goes on while nothing is sent.
        silent: while set, connections stay and nothing is sent.
    """

    def __init__(self, config: SyntheticConfig) -> None:
        self.scene = SyntheticScene(config)
        self._config = config
        self.begin_ns = monotonic_ns()
        self.silent = threading.Event()
        self._port = 0
        self._server: socket.socket | None = None
        self._threads: list[threading.Thread] = []
        self._connections: list[socket.socket] = []
        self._lock = threading.Lock()
        self.start()
        self.url = f"tcp://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen."""
        self._server = socket.create_server(("127.0.0.1", self._port), reuse_port=False)
        self._port = self._server.getsockname()[1]
        self._begin(self._accept, self._server)

    def stop(self) -> None:
        """Hang up on everybody, and listen no more. May be called twice."""
        server, self._server = self._server, None
        if server is not None:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            server.close()
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):  # it may have gone by itself
                    connection.shutdown(socket.SHUT_RDWR)
            self._connections.clear()
        for thread in self._threads:
            thread.join(5.0)
        self._threads.clear()

    def _begin(self, body: Any, *arguments: object) -> None:
        thread = threading.Thread(target=body, args=arguments, name="broadcast", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, server: socket.socket) -> None:
        while self._server is server:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with self._lock:
                self._connections.append(connection)
            self._begin(self._send, connection)

    def _send(self, connection: socket.socket) -> None:
        failures = (OSError, import_av().error.FFmpegError)
        with connection, suppress(*failures), connection.makefile("wb", buffering=0) as file:
            container = import_av().open(file, "w", format="mpegts", options=_MPEGTS)
            try:
                self._play(container, connection)
            finally:
                with suppress(*failures):
                    container.close()

    def _play(self, container: Any, connection: socket.socket) -> None:
        """Encode what is due, frame by frame, until the connection is closed."""
        av = import_av()
        fps = round(self._config.fps)
        video = container.add_stream("libx264", rate=fps)
        video.codec_context.thread_count = 1
        video.width, video.height, video.pix_fmt = self._config.width_px, self._config.height_px, "yuv420p"
        video.bit_rate = 2_000_000
        video.options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(fps // 2)}
        audio = container.add_stream("aac", rate=RATE_HZ, layout="mono")
        frame_index = int(self._now_s() * fps)
        sample = int(self._now_s() * RATE_HZ)
        while not _gone(connection):
            frame_index += 1
            time.sleep(max(0.0, frame_index / fps - self._now_s()))
            if self.silent.is_set():
                continue
            while sample + _BLOCK <= frame_index / fps * RATE_HZ:
                block = self._block(av, sample)
                container.mux(audio.encode(block))
                sample += _BLOCK
            picture = av.VideoFrame.from_ndarray(self.scene.frame_at(frame_index / fps)[0], format="rgb24")
            picture.pts, picture.time_base = frame_index, Fraction(1, fps)
            container.mux(video.encode(picture))

    def _block(self, av: Any, sample: int) -> Any:
        samples = np.round(self.scene.audio_between(sample, sample + _BLOCK)[:, 0] * 32767)
        block = av.AudioFrame.from_ndarray(samples.astype(np.int16)[None], format="s16", layout="mono")
        block.sample_rate, block.pts, block.time_base = RATE_HZ, sample, Fraction(1, RATE_HZ)
        return block

    def _now_s(self) -> float:
        return (monotonic_ns() - self.begin_ns) / NS_PER_S


def _gone(connection: socket.socket) -> bool:
    """Whether the other side has hung up; it never says anything."""
    readable, _, _ = select.select([connection], [], [], 0)
    return bool(readable)
