from __future__ import annotations

import json
import logging
from collections.abc import Callable

import pytest

from stream_avs.ledger import Ledger
from stream_avs.observe.config import LogConfig, LogFormat, LogLevel
from stream_avs.observe.event_log import log_event
from stream_avs.observe.log import Logs, RateLimit, redacted
from stream_avs.types import NS_PER_S, Event

LOGGER = logging.getLogger("stream_avs.test")


class Clock:
    now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


def record(key: str) -> logging.LogRecord:
    return logging.makeLogRecord({"name": "n", "msg": "m", "key": key})


def test_a_kind_is_limited_by_itself_and_the_next_line_tells_what_was_left_out() -> None:
    clock = Clock()
    limit = RateLimit(2, 10.0, clock)
    assert [limit.filter(record("a")) for _ in range(5)] == [True, True, False, False, False]
    assert limit.filter(record("b"))
    assert limit.suppressed == 3
    clock.now_ns = 11 * NS_PER_S
    again = record("a")
    assert limit.filter(again)
    assert again.suppressed == 3  # type: ignore[attr-defined]
    assert limit.left_out() == {}


def test_kinds_without_end_take_no_memory_without_end() -> None:
    limit = RateLimit(1, 10.0, Clock())
    for i in range(10_000):
        limit.filter(record(f"kind {i}"))
        limit.filter(record(f"kind {i}"))
    assert len(limit._passed) == len(limit._waiting) == 256
    assert limit.suppressed == 10_000


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    return lambda: capsys.readouterr().err.splitlines()


def test_json_lines_hold_message_fields_and_what_was_suppressed(lines: Callable[[], list[str]]) -> None:
    with Logs(LogConfig(format=LogFormat.JSON, level=LogLevel.INFO, burst=1)) as logs:
        for count in range(3):
            LOGGER.info("lost %s", "camera 0", extra={"key": "lost", "fields": {"count": count}})
        LOGGER.debug("not asked for")
        assert logs.suppressed() == 2
    first, end = (json.loads(line) for line in lines())
    assert first.pop("time").endswith("Z")
    assert first == {"level": "info", "logger": "stream_avs.test", "message": "lost camera 0", "count": 0}
    assert (end["message"], end["lost"]) == ("log lines left out at the end", 2)


def test_text_lines_and_tracebacks_hide_credentials(lines: Callable[[], list[str]]) -> None:
    with Logs(LogConfig()):
        try:
            raise ValueError("rtsp://user:secret@cam/live")
        except ValueError:
            LOGGER.exception("cannot open %s", "rtsp://user:secret@cam/live", extra={"url": "http://u:p@h"})
    text = "\n".join(lines())
    assert "error: cannot open rtsp://cam/live url=http://h" in text
    assert "ValueError" in text
    assert "secret" not in text
    assert ":p@" not in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtsp://u:p@h/x and http://h/y", "rtsp://h/x and http://h/y"),
        ("rtsp://u:pa/ss@h/x", "rtsp://h/x"),
        ("http://h/y?token=1 lost", "http://h/y?... lost"),
        ("mail me@home", "mail me@home"),
    ],
)
def test_redacted(text: str, expected: str) -> None:
    assert redacted(text) == expected


def test_logging_is_left_as_it_was(lines: Callable[[], list[str]]) -> None:
    before = (LOGGER.parent.level, list(LOGGER.parent.handlers))  # type: ignore[union-attr]
    with Logs(LogConfig()):
        pass
    assert (LOGGER.parent.level, LOGGER.parent.handlers) == before  # type: ignore[union-attr]
    assert lines() == []


def test_events_are_lines_and_normal_ones_are_told_at_info_only(lines: Callable[[], list[str]]) -> None:
    ledger = Ledger()
    ledger.tell(log_event)
    with Logs(LogConfig(format=LogFormat.JSON)):
        ledger.record(Event.SUPERSEDED, 1)
        ledger.record(Event.RECONNECT, 5, "camera 0 was away for 1.0 s", count=2)
    (line,) = (json.loads(line) for line in lines())
    assert (line["level"], line["event"], line["count"], line["stamp_ns"]) == ("warning", "reconnect", 2, 5)
    assert line["message"] == "camera 0 was away for 1.0 s"
