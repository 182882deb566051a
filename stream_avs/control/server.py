"""The control socket: takes commands from listed keys, and from nobody else.

CURVE is required on every address, loopback too: whoever may read masks may not command. CURVE gives
each connection keys of its own, so what was recorded on one is refused on another. The key is looked
up again at each command: one that is taken out of the folder commands nothing any more, and its
connections end a second later.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

import zmq

from stream_avs.clock import monotonic_ns
from stream_avs.control.messages import (
    MAX_REQUEST_BYTES,
    Refused,
    Reply,
    Request,
    Status,
    decode_request,
    encode,
    words_of,
)
from stream_avs.control.settings import ControlConfig
from stream_avs.errors import ConfigError, PublishError, StreamAvsError
from stream_avs.ledger import Ledger
from stream_avs.publish import curve
from stream_avs.publish.address import check_bind
from stream_avs.publish.bound_socket import BoundSocket
from stream_avs.publish.key_files import MAKE_KEYS
from stream_avs.publish.rate_limit import RateLimit
from stream_avs.types import Event

POLL_MS = 100
LINGER_MS = 500
QUEUE = 16
"""Commands that wait, and answers a client does not fetch."""
HANDSHAKE_BYTES = 1024
"""CURVE's own messages and overhead, which the limit on messages counts too."""


class Target(Protocol):
    """What carries commands out; see `SessionControl`."""

    def carry_out(self, request: Request) -> Reply:
        """Do what is asked, and answer."""


class ControlServer:
    """Takes commands on a thread of its own; a context manager.

    Args:
        config: address, keys, rate.
        target: carries commands out.
        ledger: counts commands, and clients and requests that are refused.
        default_key: own secret key file if `config` names none.
        clock_s: monotonic seconds, for the rate.

    Raises:
        ConfigError: no keys.
        PublishError: the address cannot be bound, or a key file is no good.
    """

    def __init__(
        self,
        config: ControlConfig,
        target: Target,
        ledger: Ledger | None = None,
        *,
        default_key: str = "",
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._target = target
        self._ledger = ledger if ledger is not None else Ledger()
        self._clock_s = clock_s
        self._rate = RateLimit(config.max_per_s, 2 * config.max_per_s, clock_s())
        self._server = _keys(config, default_key)
        self._stopping = threading.Event()
        self._bound = self._bind(config.address)
        self.address = self._bound.address
        """The address bound, with the port that was free if `*` was asked for."""
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Free the address. May be called twice."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._thread.join(5)

    def __enter__(self) -> ControlServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    self._turn()
                except PublishError as error:
                    self._note(str(error))
                    self._stopping.wait(POLL_MS / 1000)
        finally:
            self._bound.close(LINGER_MS)

    def _turn(self) -> None:
        self._bound.bind_again()
        if names := self._bound.revoked:
            for _ in range(QUEUE):  # what others have asked meanwhile
                if self._bound.socket.poll(0):
                    self._serve()
            self._bound.begin_anew(f"key taken out: {names}", LINGER_MS)
        if self._bound.socket.poll(POLL_MS):
            self._serve()

    def _serve(self) -> None:
        """Take one message, and answer if there is a way back."""
        parts = self._bound.socket.recv_multipart(copy=False)
        if len(parts) != 3 or len(parts[1].buffer):
            self._note(f"a message of {len(parts)} frames")
            return
        reply = self._answer(parts[2])
        try:
            self._bound.socket.send_multipart([parts[0].bytes, b"", encode(reply)], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            self._note(f"an answer nobody fetches: {error}")

    def _answer(self, frame: zmq.Frame) -> Reply:
        name = self._server.allowed.name_of(str(frame.get("User-Id")).encode())
        if name is None:
            return self._refuse("a client whose key is no longer listed")
        if not self._rate.take(self._clock_s()):
            return self._refuse(f"a command of {name}: too many", "Wait a second")
        try:
            request = decode_request(frame.bytes)
            reply = self._target.carry_out(request)
        except StreamAvsError as error:
            return self._refuse(f"a command of {name}: {error.what}", error.next_step)
        if not isinstance(request, Status):
            self._ledger.record(Event.COMMAND, monotonic_ns(), f"{words_of(request)} by {name}")
        return reply

    def _refuse(self, what: str, next_step: str = "") -> Refused:
        self._note(what)
        return Refused(what=f"refused {what}"[:256], next_step=next_step[:256])

    def _note(self, what: str) -> None:
        self._ledger.record(Event.REFUSED, monotonic_ns(), what)

    def _bind(self, address: str) -> BoundSocket:
        place = check_bind(address, insecure=False, secured=True, option="control", what="commands")
        options: dict[int, int] = {
            zmq.LINGER: LINGER_MS, zmq.MAXMSGSIZE: MAX_REQUEST_BYTES + HANDSHAKE_BYTES,
            zmq.RCVHWM: QUEUE, zmq.SNDHWM: QUEUE,
        }  # fmt: skip
        return BoundSocket(zmq.ROUTER, place, server=self._server, refused=self._note, options=options)


def _keys(config: ControlConfig, default_key: str) -> curve.Server:
    server = curve.server_of(
        config.key or (default_key if config.clients else ""), config.clients, "--control",
        roles=curve.CONTROLLERS,
    )  # fmt: skip
    if server is None:
        raise ConfigError(
            f"control address {config.address} has no keys, and commands are taken from known keys only",
            f"Make keys with `{MAKE_KEYS} --role control` and give --control.key and --control.clients",
        )
    return server
