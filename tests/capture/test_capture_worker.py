from __future__ import annotations

import threading
import time

import pytest
from recording_sink import RecordingSink

from stream_avs.capture.worker import STOP_WAIT_S, Worker
from stream_avs.errors import SourceError


def test_stop_ends_a_body_that_listens() -> None:
    ended = threading.Event()

    def body(stop: threading.Event) -> None:
        stop.wait(10)
        ended.set()

    worker = Worker("test", body, RecordingSink())
    worker.start()
    assert worker.stop()
    assert ended.is_set()
    assert worker.stop(), "stopping twice is allowed"


def test_stop_does_not_wait_for_a_driver_that_hangs() -> None:
    release = threading.Event()
    worker = Worker("test", lambda stop: release.wait(10) and None, RecordingSink())
    worker.start()
    begun_s = time.monotonic()
    assert not worker.stop()
    assert time.monotonic() - begun_s < STOP_WAIT_S + 0.2
    release.set()


def test_a_known_error_ends_the_stream_with_it() -> None:
    def body(stop: threading.Event) -> None:
        raise SourceError("gone", "plug it in")

    sink = RecordingSink()
    Worker("test", body, sink).start()
    assert sink.over.wait(2)
    assert str(sink.error) == "gone. plug it in"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_ends_the_stream_too_and_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(threading, "excepthook", lambda arguments: seen.append(arguments.exc_type))

    def body(stop: threading.Event) -> None:
        raise ZeroDivisionError("bug")

    sink = RecordingSink()
    worker = Worker("camera 0", body, sink)
    worker.start()
    assert sink.over.wait(2)
    assert worker.stop()
    assert "camera 0" in str(sink.error)
    assert seen == [ZeroDivisionError]
