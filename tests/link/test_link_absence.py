"""A sender that falls silent, goes away and comes back, over real sockets."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from media_sink import KeepingSink, wait_for

from stream_avs.config import ReconnectConfig
from stream_avs.errors import SourceLostError
from stream_avs.link import receiver
from stream_avs.link.receiver import ZmqSource
from stream_avs.link.sender import MediaSender
from stream_avs.link.settings import LinkConfig
from stream_avs.types import Event, SourceState

IMAGE = np.zeros((8, 8, 3), np.uint8)
BACK = [SourceState.RECONNECTING, SourceState.LIVE]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver, "SILENCE_S", 0.3)


@pytest.fixture
def address(tmp_path: Path) -> str:
    tmp_path.chmod(0o700)
    return f"ipc://{tmp_path}/link"


@contextmanager
def following(address: str, sink: KeepingSink, **reconnect: float) -> Iterator[None]:
    source = ZmqSource(LinkConfig(address=address), reconnect=ReconnectConfig(**reconnect))
    source.open()
    source.start(sink)
    try:
        yield
    finally:
        source.stop()


def send(sender: MediaSender, sink: KeepingSink) -> None:
    """Send pictures until one more has arrived."""
    before = len(sink.frames)

    def arrived() -> bool:
        sender.frame(IMAGE, time.monotonic_ns(), time.monotonic_ns())
        time.sleep(0.02)
        return len(sink.frames) > before

    assert wait_for(arrived)


def test_one_that_falls_silent_is_lost_and_its_next_picture_begins_anew(address: str) -> None:
    sink = KeepingSink()
    with MediaSender(LinkConfig(address=address), "cam0") as sender, following(address, sink):
        send(sender, sink)
        assert wait_for(lambda: sink.states == BACK[:1])
        assert sink.breaks == []
        send(sender, sink)
        assert sink.states == BACK
    assert sink.breaks == ["reconnect"]
    assert sink.events[Event.RECONNECT] == 1


def test_one_that_is_started_again_after_a_while_is_one_absence(address: str) -> None:
    sink = KeepingSink()
    with following(address, sink):
        with MediaSender(LinkConfig(address=address), "cam0") as sender:
            send(sender, sink)
        assert wait_for(lambda: sink.states == BACK[:1])
        with MediaSender(LinkConfig(address=address), "cam0") as sender:
            begun_s = time.monotonic()
            send(sender, sink)
            assert time.monotonic() - begun_s < 2.0
    assert sink.states == BACK
    assert sink.breaks == ["reconnect"]
    assert sink.events[Event.RECONNECT] == 1


@pytest.mark.parametrize("came", [False, True])
def test_one_that_does_not_come_is_given_up_as_configured(address: str, came: bool) -> None:
    sink = KeepingSink()
    with following(address, sink, give_up_after_s=0.6):
        if came:
            with MediaSender(LinkConfig(address=address), "cam0") as sender:
                send(sender, sink)
        assert wait_for(lambda: sink.has_ended)
    assert isinstance(sink.error, SourceLostError)
    assert "the sender of cam0 has not come back for 0.6 s" in str(sink.error)


def test_a_source_that_is_held_up_over_a_full_queue_goes_on() -> None:
    """Longer than ZeroMQ's heartbeats would allow; in a process of its own, which ZeroMQ would end."""
    code = """
import sys, time
from media_sink import KeepingSink, wait_for
from stream_avs.link.receiver import ZmqSource
from stream_avs.link.settings import LinkConfig

class HeldUp(KeepingSink):
    def frame(self, *args, **kwargs):
        if not self.frames:
            time.sleep(5)
        super().frame(*args, **kwargs)

sink = HeldUp()
source = ZmqSource(LinkConfig(address=sys.argv[1], queue=1))
source.start(sink)
assert wait_for(lambda: len(sink.frames) > 20, 30)
source.stop()
"""
    with MediaSender(LinkConfig(address="tcp://127.0.0.1:*", jpeg_quality=0), "cam0") as sender:
        held_up = subprocess.Popen(
            [sys.executable, "-c", code, sender.address], cwd=Path(__file__).parent, stderr=subprocess.PIPE
        )
        with held_up:
            while held_up.poll() is None:
                sender.frame(IMAGE, time.monotonic_ns(), time.monotonic_ns())
                time.sleep(0.01)
            assert held_up.stderr is not None
            assert held_up.returncode == 0, held_up.stderr.read()
