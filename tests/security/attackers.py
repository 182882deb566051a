"""What an attacker has: sockets with any keys, a wiretap, and the patience to replay what it heard."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import zmq

from stream_avs.publish.key_files import Role, load_public, load_secret, make_keys


class Keys:
    """Keys of a robot, of a listed friend, of a stranger and of a listed controller, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.readers, self.controllers = folder / "readers", folder / "controllers"
        self.robot, self.robot_secret = make_keys(folder, "robot", Role.PUBLISHER)
        self.friend, self.friend_secret = make_keys(folder, "friend", Role.SUBSCRIBER)
        self.operator, self.operator_secret = make_keys(folder, "operator", Role.CONTROL)
        self.stranger, self.stranger_secret = make_keys(folder, "stranger", Role.SUBSCRIBER)
        for allowed, path in ((self.readers, self.friend), (self.controllers, self.operator)):
            allowed.mkdir(mode=0o700)
            (allowed / path.name).write_bytes(path.read_bytes())


def raw_client(
    context: zmq.Context[zmq.Socket[bytes]],
    address: str,
    say: bytes | None,
    secret: Path | None = None,
    server: Path | None = None,
) -> zmq.Socket[bytes]:
    """A socket without any of our checks: SUB to everything, or REQ that says something."""
    client = context.socket(zmq.SUB if say is None else zmq.REQ)
    client.linger = 0
    if secret is not None and server is not None:
        pair = load_secret(secret)
        client.curve_secretkey, client.curve_publickey = pair.secret, pair.public
        client.curve_serverkey = load_public(server)
    if say is None:
        client.setsockopt(zmq.SUBSCRIBE, b"")
    client.connect(address)
    if say is not None:
        client.send(say)
    return client


@dataclass
class Chunk:
    """Bytes one side said, in order."""

    from_client: bool
    data: bytes


class Wiretap:
    """A TCP proxy that keeps what both sides say."""

    def __init__(self, target: str) -> None:
        host, _, port = target.removeprefix("tcp://").rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self.chunks: list[Chunk] = []
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # or the thread would wait in `accept` for ever
        for end in (self._listener, *self._sockets):
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            self._sockets += [near, far]
            for args in ((near, far, True), (far, near, False)):
                threading.Thread(target=self._copy, args=args, daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket, from_client: bool) -> None:
        try:
            while data := source.recv(65536):
                self.chunks.append(Chunk(from_client, data))
                target.sendall(data)
        except OSError:
            return


def replay_to_server(address: str, chunks: list[Chunk]) -> bytes:
    """Say to a server what a client once said, waiting for its answers; returns all it answers."""
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    heard = b""
    with socket.create_connection((host, int(port))) as wire:
        wire.settimeout(0.05)
        for chunk in chunks:
            try:
                if chunk.from_client:
                    wire.sendall(chunk.data)
                heard += wire.recv(65536)
            except TimeoutError:
                continue
            except OSError:  # shown out
                break
        wire.settimeout(0.3)
        try:
            while data := wire.recv(65536):
                heard += data
        except OSError:
            pass
    return heard


class RecordedServer:
    """Says to whoever connects what a server once said."""

    def __init__(self, chunks: list[Chunk]) -> None:
        self._said = [chunk.data for chunk in chunks if not chunk.from_client]
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self.visits = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                wire, _ = self._listener.accept()
            except OSError:
                return
            self.visits += 1
            wire.settimeout(0.05)
            with wire:
                for data in self._said:
                    try:
                        wire.sendall(data)
                        wire.recv(65536)
                    except TimeoutError:
                        continue
                    except OSError:
                        break


def wait_until(
    true: Callable[[], object], during: Callable[[], object] = lambda: None, timeout_s: float = 10.0
) -> None:
    """Return when `true()`; call `during` all the while."""
    end_s = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end_s, "waited too long"
        during()
        time.sleep(0.01)
