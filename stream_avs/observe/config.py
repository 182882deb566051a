"""Settings of metrics and logs; imports nothing heavy."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from stream_avs.config import require


class LogFormat(enum.StrEnum):
    """How log lines look."""

    TEXT = "text"  # for people
    JSON = "json"  # one object per line, for machines


class LogLevel(enum.StrEnum):
    """The least that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class MetricsConfig:
    """Figures of the running session for Prometheus, and its health."""

    address: str = ""
    """HOST:PORT to serve /metrics and /healthz on, e.g. 127.0.0.1:9108; empty for none."""
    insecure: bool = False
    """Allow an address that other machines can reach: anyone there can read what sounds."""
    silent_after_s: float = 5.0
    """Without a mask for this long the session is not healthy."""

    def __post_init__(self) -> None:
        require(
            0.1 <= self.silent_after_s <= 3600,
            "metrics.silent_after_s", self.silent_after_s, "0.1..3600 s",
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LogConfig:
    """What is logged to standard error, and how."""

    format: LogFormat = LogFormat.TEXT
    """text, or json: one object per line."""
    level: LogLevel = LogLevel.WARNING
    """The least that is logged; info tells of every dropped frame."""
    burst: int = 5
    """Lines of one kind let through in `span_s`; the next line after it says how many were left out."""
    span_s: float = 10.0
    """See `burst`."""

    def __post_init__(self) -> None:
        require(1 <= self.burst <= 10_000, "log.burst", self.burst, "1..10000")
        require(0.1 <= self.span_s <= 3600, "log.span_s", self.span_s, "0.1..3600 s")
