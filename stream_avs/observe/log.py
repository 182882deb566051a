"""Structured logs: JSON lines or text on standard error, never more than a few lines of one kind.

A kind is the record's `key` (given by `extra`), or else its logger and unformatted message. What is
left out is counted, and the next line of that kind says how many.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from collections import OrderedDict, deque
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from stream_avs.capture.address import redact
from stream_avs.clock import MonotonicClock, monotonic_ns
from stream_avs.observe.config import LogConfig, LogFormat
from stream_avs.types import NS_PER_S

ROOT = "stream_avs"
_KINDS = 256
_ADDRESS = re.compile(r"\w+://\S+")
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"key", "fields", "suppressed", "message", "asctime"}


class RateLimit(logging.Filter):
    """Lets `burst` records of one kind through in `span_s`, and counts the others.

    Args:
        burst, span_s: the limit.
        clock: the monotonic clock.
    """

    def __init__(self, burst: int, span_s: float, clock: MonotonicClock = monotonic_ns) -> None:
        super().__init__()
        self._burst = burst
        self._span_ns = round(span_s * NS_PER_S)
        self._clock = clock
        self._lock = threading.Lock()
        self._passed: OrderedDict[str, deque[int]] = OrderedDict()
        self._waiting: dict[str, int] = {}
        self.suppressed = 0
        """Records left out since the start."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Decide; a record let through gets `suppressed`, how many of its kind were left out before it."""
        kind = str(getattr(record, "key", "")) or f"{record.name}: {record.msg}"
        now_ns = self._clock()
        with self._lock:
            passed = self._passed.setdefault(kind, deque())
            self._passed.move_to_end(kind)
            while passed and passed[0] <= now_ns - self._span_ns:
                passed.popleft()
            if len(passed) >= self._burst:
                self._waiting[kind] = self._waiting.get(kind, 0) + 1
                self.suppressed += 1
                return False
            passed.append(now_ns)
            record.suppressed = self._waiting.pop(kind, 0)
            if len(self._passed) > _KINDS:
                oldest, _ = self._passed.popitem(last=False)
                self._waiting.pop(oldest, None)
        return True

    def left_out(self) -> dict[str, int]:
        """How many of each kind were left out since its last line; forgets them."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        return waiting


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, logger, message, then the fields of the record."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redacted(record.getMessage()),
            **{name: _plain(value) for name, value in fields_of(record).items()},
        }
        if suppressed := getattr(record, "suppressed", 0):
            line["suppressed"] = suppressed
        if record.exc_info:
            line["exception"] = redacted(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


class TextLines(logging.Formatter):
    """`12:00:00.000 warning: message key=value (3 more suppressed)`."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        words = [f"{_time(record)[11:23]} {record.levelname.lower()}: {redacted(record.getMessage())}"]
        words += [f"{name}={_plain(value)}" for name, value in fields_of(record).items()]
        if suppressed := getattr(record, "suppressed", 0):
            words.append(f"({suppressed} more suppressed)")
        line = " ".join(words)
        if record.exc_info:
            line += "\n" + redacted(self.formatException(record.exc_info))
        return line


class Logs:
    """Sends what the package logs to standard error while open; a context manager.

    Args:
        config: format, level and limits.
    """

    def __init__(self, config: LogConfig) -> None:
        self._limit = RateLimit(config.burst, config.span_s)
        self._handler = _StandardError()
        self._handler.addFilter(self._limit)
        self._handler.setFormatter(JsonLines() if config.format is LogFormat.JSON else TextLines())
        self._logger = logging.getLogger(ROOT)
        self._level_before = self._logger.level
        self._propagate_before = self._logger.propagate
        self._logger.addHandler(self._handler)
        self._logger.setLevel(config.level.upper())
        self._logger.propagate = False

    def suppressed(self) -> int:
        """How many lines were left out."""
        return self._limit.suppressed

    def close(self) -> None:
        """Say what was left out, and let go of standard error."""
        if left_out := self._limit.left_out():
            self._logger.warning(
                "log lines left out at the end", extra={"key": "left out", "fields": left_out}
            )
        self._logger.removeHandler(self._handler)
        self._logger.setLevel(self._level_before)
        self._logger.propagate = self._propagate_before

    def __enter__(self) -> Logs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _StandardError(logging.Handler):
    """Writes to what is standard error at that moment: a live status view takes its place."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            self.handleError(record)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What was given as `extra={"fields": {...}}`, or as other names in `extra`."""
    other = {name: value for name, value in vars(record).items() if name not in _OWN}
    return {**other, **getattr(record, "fields", {})}


def redacted(text: str) -> str:
    """Return `text` with the credentials and query values of every address in it left out."""
    return _ADDRESS.sub(lambda address: redact(address[0]), text)


def _time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(value: object) -> object:
    return value if isinstance(value, (bool, int, float)) or value is None else redacted(str(value))
