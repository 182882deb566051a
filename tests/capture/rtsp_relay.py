"""A small RTSP server for tests: one publisher (ffmpeg -f rtsp) in, any players out, over TCP.

It can ask for a password, fall silent, and hang up on its players, so that sources can be tested
against what real servers do.
"""

from __future__ import annotations

import base64
import re
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field

Message = dict[str, str]


@dataclass
class _Player:
    connection: socket.socket
    channels: dict[int, int] = field(default_factory=dict)  # publisher's channel -> player's
    playing: bool = False


class RtspRelay:
    """Listens on a loopback port, 0 for a free one; `url` is where to publish and to play."""

    def __init__(self, credentials: str = "", port: int = 0) -> None:
        self.credentials = credentials
        self.refusals = 0
        self._sdp = b""
        self._published = threading.Event()
        self._lock = threading.Lock()
        self._players: list[_Player] = []
        self._reports: dict[int, bytes] = {}
        self.silent = False
        self.plays = 0
        self._server = socket.create_server(("127.0.0.1", port))
        self.port = self._server.getsockname()[1]
        self.url = f"rtsp://127.0.0.1:{self.port}/live"
        threading.Thread(target=self._accept, daemon=True).start()

    def wait_published(self, timeout_s: float) -> bool:
        return self._published.wait(timeout_s)

    def hang_up(self) -> None:
        """Close the connections of all players."""
        with self._lock:
            for player in self._players:
                with suppress(OSError):  # it may have gone by itself
                    player.connection.shutdown(socket.SHUT_RDWR)
            self._players.clear()

    def close(self) -> None:
        self.hang_up()
        self._server.shutdown(socket.SHUT_RDWR)  # or the thread would wait in `accept` for ever
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        player = _Player(connection)
        with connection, connection.makefile("rb") as stream:
            try:
                while (first := stream.read(1)) != b"":
                    if first == b"$":
                        channel = stream.read(1)[0]
                        size = int.from_bytes(stream.read(2), "big")
                        self._relay(channel, stream.read(size))
                        continue
                    request = first + stream.readline()
                    method, url, _ = request.decode().split(" ", 2)
                    headers: Message = {}
                    while (line := stream.readline().decode().strip()) != "":
                        name, _, value = line.partition(":")
                        headers[name.lower()] = value.strip()
                    body = stream.read(int(headers.get("content-length", "0")))
                    status, extra, answer = self._answer(player, method, url, headers, body)
                    lines = [f"RTSP/1.0 {status}", f"CSeq: {headers['cseq']}", "Session: 1", *extra]
                    if answer:
                        lines += ["Content-Type: application/sdp", f"Content-Length: {len(answer)}"]
                    connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + answer)
                    if method == "PLAY":
                        self._begin(player)
            except (OSError, ValueError, IndexError):
                pass
        with self._lock:
            self._players = [p for p in self._players if p is not player]

    def _answer(
        self, player: _Player, method: str, url: str, headers: Message, body: bytes
    ) -> tuple[str, list[str], bytes]:
        token = base64.b64encode(self.credentials.encode()).decode()
        playing = method in ("DESCRIBE", "PLAY")
        if playing and self.credentials and headers.get("authorization") != f"Basic {token}":
            self.refusals += 1
            return "401 Unauthorized", ['WWW-Authenticate: Basic realm="test"'], b""
        if playing and "/live" not in url:
            return "404 Not Found", [], b""
        if method == "ANNOUNCE":
            self._sdp = body
        elif method == "DESCRIBE":
            return "200 OK", [f"Content-Base: {self.url}/"], self._sdp
        elif method == "SETUP":
            transport = headers["transport"]
            match = re.search(r"interleaved=(\d+)", transport)
            if match is None:
                return "461 Unsupported Transport", [], b""
            track = int(re.search(r"streamid=(\d+)", url).group(1))  # type: ignore[union-attr]
            player.channels[2 * track] = int(match.group(1))
            player.channels[2 * track + 1] = int(match.group(1)) + 1
            return "200 OK", [f"Transport: {transport}"], b""
        elif method == "RECORD":
            self._published.set()
        elif method == "PLAY":
            with self._lock:
                self._players.append(player)
                self.plays += 1
        return "200 OK", ["Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"], b""

    def _begin(self, player: _Player) -> None:
        """Send the newest reports first, as servers do: they say how the tracks' times belong together."""
        with self._lock:
            player.playing = True
            for channel, report in self._reports.items():
                self._send(player, channel, report)

    def _relay(self, channel: int, payload: bytes) -> None:
        if self.silent:
            return
        with self._lock:
            if channel % 2 == 1:
                self._reports[channel] = payload
            for player in self._players:
                self._send(player, channel, payload)

    def _send(self, player: _Player, channel: int, payload: bytes) -> None:
        if player.playing and channel in player.channels:
            head = b"$" + bytes([player.channels[channel]]) + len(payload).to_bytes(2, "big")
            try:
                player.connection.sendall(head + payload)
            except OSError:
                player.playing = False
