"""Messages to systemd over the socket it names: sd_notify(3) without its library.

Does nothing where no service manager listens, so it can be called always. NOTIFY_SOCKET, WATCHDOG_USEC
and WATCHDOG_PID are systemd's own variables.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from types import TracebackType

US_PER_S = 1_000_000


class Notifier:
    """Sends state to a service manager; a context manager.

    Args:
        address: path of a datagram socket, or "@name" in the abstract namespace; "" sends nothing.
        watchdog_s: how long the manager waits for a sign of life; 0 if it does not.

    Attributes:
        watchdog_s: as given, 0 where nobody listens.
    """

    def __init__(self, address: str = "", watchdog_s: float = 0.0) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_s = watchdog_s if address else 0.0
        self._socket: socket.socket | None = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            # A manager that is busy must not hold anybody up: a message it cannot take is left out.
            self._socket.setblocking(False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Notifier:
        """Make the notifier that systemd has asked for; kinds of sockets it may add later are left alone."""
        address = environment.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
            return cls()
        watched = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = environment.get("WATCHDOG_USEC", "0") if watched else "0"
        return cls(address, int(microseconds) / US_PER_S if microseconds.isdecimal() else 0.0)

    def ready(self) -> None:
        """Say that the service has started."""
        self._send("READY=1")

    def stopping(self) -> None:
        """Say that the service is ending."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Give the sign of life that the watchdog waits for."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Say in one line how it goes, for `systemctl status`."""
        self._send("STATUS=" + " ".join(text.split()))

    def close(self) -> None:
        """Free the socket. May be called twice."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __enter__(self) -> Notifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, message: str) -> bool:
        """Send one message; False if nobody took it, which is the manager's affair and not ours."""
        if self._socket is None:
            return False
        try:
            self._socket.sendto(message.encode(), self._address)
        except OSError:
            return False
        return True
