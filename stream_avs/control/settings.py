"""Settings of the control socket."""

from __future__ import annotations

from dataclasses import dataclass

from stream_avs.config import require


@dataclass(frozen=True, kw_only=True)
class ControlConfig:
    """Where a running session takes commands, from keys of role control only, also on this machine."""

    address: str = ""
    """ZeroMQ address to bind, e.g. tcp://127.0.0.1:5558; empty for none. There is no insecure form."""
    key: str = ""
    """This side's own secret key file (NAME.key_secret); empty takes that of `--publish.key`."""
    clients: str = ""
    """Folder with the public key files of those who may command: `stream-avs keygen … --role control`."""
    max_per_s: float = 20.0
    """Commands taken per second, of all clients together; more are refused."""

    def __post_init__(self) -> None:
        require(0.1 <= self.max_per_s <= 1000, "control.max_per_s", self.max_per_s, "0.1..1000 Hz")
