from __future__ import annotations

import itertools
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording_sink import RecordingSink

from stream_avs.capture.worker import STOP_WAIT_S, Backoff, Worker
from stream_avs.errors import SourceError


@given(
    first_s=st.floats(0.01, 1), factor=st.floats(1.1, 4), most_s=st.floats(1, 60), tries=st.integers(1, 30)
)
def test_backoff_grows_to_its_limit_and_begins_again(
    first_s: float, factor: float, most_s: float, tries: int
) -> None:
    backoff = Backoff(first_s, factor, most_s)
    stop = threading.Event()
    stop.set()  # so that nothing is waited for
    delays = []
    for _ in range(tries):
        delays.append(backoff.next_s)
        assert not backoff.wait(stop)
    assert delays[0] == first_s
    assert all(b == pytest.approx(min(a * factor, most_s)) for a, b in itertools.pairwise(delays))
    backoff.reset()
    assert backoff.next_s == first_s


def test_backoff_waits_its_delay() -> None:
    begun_s = time.monotonic()
    assert Backoff(0.05).wait(threading.Event())
    assert time.monotonic() - begun_s >= 0.05


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
