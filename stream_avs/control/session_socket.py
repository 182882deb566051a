"""The control socket of a live session: what it needs before and after the pipeline is made."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack

from stream_avs.capture.address import redact
from stream_avs.capture.tap import Tap
from stream_avs.config import RunConfig
from stream_avs.control.gate import Gate
from stream_avs.control.server import ControlServer
from stream_avs.control.settings import ControlConfig
from stream_avs.control.target import Session, SessionControl
from stream_avs.ledger import Ledger


class ControlSocket:
    """Wires gate, commands and socket to one session.

    Args:
        config: of the socket; without an address there is none.
        run: of the session.
    """

    def __init__(self, config: ControlConfig, run: RunConfig) -> None:
        self._config = config
        self._run = run
        self._gate = Gate()

    @property
    def tap(self) -> Tap | None:
        """The tap nearest to the source; None if there is no control socket."""
        return self._gate.tap if self._config.address else None

    def open(self, pipeline: Session, ledger: Ledger, stack: ExitStack) -> tuple[str, ...]:
        """Take commands until `stack` closes; returns notes for a person.

        Raises:
            ConfigError: no keys.
            PublishError: the address cannot be bound, or a key file is no good.
        """
        if not self._config.address:
            return ()
        target = SessionControl(
            pipeline, self._gate, _stop, stream=self._run.name, source=redact(self._run.source)
        )
        server = ControlServer(self._config, target, ledger, default_key=self._run.publish.key)
        stack.enter_context(server)
        return (f"commands on {server.address}: stream-avs control {server.address} status",)


def _stop() -> None:
    """End the process in the one way that service managers use too."""
    os.kill(os.getpid(), signal.SIGTERM)
