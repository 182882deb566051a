"""Settings of what happens when something is lost: a source, or the worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from stream_avs.config_check import require


@dataclass(frozen=True, kw_only=True)
class BackoffConfig:
    """Delays between attempts."""

    first_s: float = 0.1
    """Delay before the first attempt."""
    factor: float = 2.0
    """Each delay is so many times the one before."""
    most_s: float = 0.5
    """No delay is longer; a source is back within this and the time it takes to open."""
    jitter: float = 0.3
    """Share of each delay that is taken off at random, 0..1."""

    section: ClassVar[str] = "backoff"

    def __post_init__(self) -> None:
        name = self.section
        require(0.01 <= self.first_s <= 60, f"{name}.first_s", self.first_s, "0.01..60 s")
        require(1 <= self.factor <= 10, f"{name}.factor", self.factor, "1..10")
        require(0.01 <= self.most_s <= 600, f"{name}.most_s", self.most_s, "0.01..600 s")
        require(0 <= self.jitter <= 1, f"{name}.jitter", self.jitter, "0..1")


@dataclass(frozen=True, kw_only=True)
class ReconnectConfig(BackoffConfig):
    """How a lost source is opened again."""

    give_up_after_s: float = 0.0
    """End with an error when a lost source has not come back for so long; 0 never gives up."""

    section: ClassVar[str] = "reconnect"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            0 <= self.give_up_after_s <= 1e6,
            "reconnect.give_up_after_s", self.give_up_after_s, "0 or more seconds",
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SuperviseConfig(BackoffConfig):
    """How a worker that died or hangs is replaced."""

    most_s: float = 1.0
    """No delay before a restart is longer."""
    hang_s: float = 10.0
    """A step that takes longer hangs; at least twenty times a step of the warm-up."""
    restarts: int = 5
    """So many restarts within `span_s` are allowed, the next failure ends the stream; 0 for no limit."""
    span_s: float = 60.0
    """How far back restarts count."""

    section: ClassVar[str] = "supervise"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0.1 <= self.hang_s <= 3600, "supervise.hang_s", self.hang_s, "0.1..3600 s")
        require(0 <= self.restarts <= 1000, "supervise.restarts", self.restarts, "0..1000")
        require(1 <= self.span_s <= 86_400, "supervise.span_s", self.span_s, "1..86400 s")
