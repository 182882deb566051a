"""Messages to a real socket, as systemd receives them."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream_avs.service.heartbeat import Heartbeat, Progress
from stream_avs.service.notify import Notifier

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs Unix sockets")


class Manager:
    """What a service manager does: listens to messages on a socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.settimeout(0.0)

    def received(self) -> list[str]:
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4096).decode())
            except OSError:
                return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    if request.param == "abstract" and sys.platform != "linux":
        pytest.skip("needs Linux, which has the abstract namespace")
    path = str(tmp_path / "notify")
    made = Manager(path if request.param == "path" else f"@stream-avs-test-{os.getpid()}")
    yield made
    made.close()


def environment(manager: Manager, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": manager.address, **more}


def test_each_message_reaches_the_manager(manager: Manager) -> None:
    with Notifier.from_environment(environment(manager)) as notifier:
        notifier.ready()
        notifier.status("12 masks/s,\n  source live")
        notifier.alive()
        notifier.stopping()
    notifier.alive()  # closed: nobody hears it
    assert manager.received() == ["READY=1", "STATUS=12 masks/s, source live", "WATCHDOG=1", "STOPPING=1"]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"NOTIFY_SOCKET": ""},
        {"NOTIFY_SOCKET": "vsock:2:1234"},
        {"NOTIFY_SOCKET": "relative/path"},
        {"NOTIFY_SOCKET": "/nowhere/at/all", "WATCHDOG_USEC": "1000"},
    ],
)
def test_without_a_manager_nothing_happens(variables: dict[str, str]) -> None:
    with Notifier.from_environment(variables) as notifier:
        notifier.ready()
        notifier.alive()


def test_a_manager_that_does_not_read_holds_nobody_up(manager: Manager) -> None:
    with Notifier.from_environment(environment(manager)) as notifier:
        for _ in range(5000):
            notifier.status("x" * 200)
    assert 0 < len(manager.received()) < 5000


@pytest.mark.parametrize(
    ("variables", "expected_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0.0),  # it waits for another process
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({}, 0.0),
    ],
)
def test_how_long_the_watchdog_waits(manager: Manager, variables: dict[str, str], expected_s: float) -> None:
    with Notifier.from_environment(environment(manager, **variables)) as notifier:
        assert notifier.watchdog_s == expected_s


class Session:
    """Counts that a test sets, and seconds that pass when it says so."""

    def __init__(self, manager: Manager) -> None:
        self.captured = self.masks = self.moves = 0
        self.now_s = 0.0
        self._manager = manager
        notifier = Notifier(manager.address, watchdog_s=10.0)
        self._heartbeat = Heartbeat(notifier, self._progress, lambda: "fine", lambda: self.now_s)
        assert manager.received() == ["READY=1", "STATUS=fine"]

    def _progress(self) -> Progress:
        return Progress(captured=self.captured, masks=self.masks, moves=self.moves)

    def run(self, seconds: float, *, captured: int = 0, masks: int = 0, moves: int = 0) -> list[str]:
        """Let time pass with so much happening in each quarter of a second; what was sent."""
        for _ in range(round(seconds * 4)):
            self.now_s += 0.25
            self.captured += captured
            self.masks += masks
            self.moves += moves
            self._heartbeat.tick()
        return [message for message in self._manager.received() if not message.startswith("STATUS")]


def test_the_watchdog_hears_of_masks_and_of_honest_waiting(manager: Manager) -> None:
    session = Session(manager)
    assert session.run(20, captured=5, masks=3, moves=9) == ["WATCHDOG=1"] * 4
    assert session.run(20, moves=1) == ["WATCHDOG=1"] * 4, "no frames come: the worker waits for them"


def test_the_watchdog_does_not_hear_of_a_session_that_gets_nowhere(manager: Manager) -> None:
    session = Session(manager)
    assert session.run(60, captured=5, moves=9) == [], "frames come, masks do not"
    session = Session(manager)
    assert session.run(60) == [], "not even waiting"
    assert session.run(5, captured=5, masks=1) == ["WATCHDOG=1"], "it has come to itself"


def test_the_status_is_told_now_and_then(manager: Manager) -> None:
    session = Session(manager)
    for _ in range(80):
        session.now_s += 0.25
        session._heartbeat.tick()
    assert manager.received() == ["STATUS=fine"] * 4
