"""Settings of a soak, and the bounds it is judged by."""

from __future__ import annotations

from dataclasses import dataclass, field

import tyro

from stream_avs.config import require


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What may grow, and by how much. Growth is judged after the warm-up."""

    memory_growth: float = 0.01
    """Rise of the resident memory and of the heap, as a share; by a robust trend over the run."""
    age_growth: float = 0.10
    """Rise of the age p99 from the first to the last `span_minutes`, as a share."""
    files_growth: int = 0
    """Rise of the number of open files."""
    threads_growth: int = 0
    """Rise of the number of threads."""
    silence_s: float = 5.0
    """Longest time without a mask at the reader."""
    span_minutes: float = 10.0
    """What `age_growth` compares; at most a third of the run."""
    warm_up_minutes: float = 3.0
    """Left out at the start: caches and buffers fill. At most a fifth of the run."""

    def __post_init__(self) -> None:
        require(0 <= self.memory_growth <= 10, "bounds.memory_growth", self.memory_growth, "0..10")
        require(0 <= self.age_growth <= 100, "bounds.age_growth", self.age_growth, "0..100")
        require(self.silence_s > 0, "bounds.silence_s", self.silence_s, "more than 0 s")
        require(self.span_minutes > 0, "bounds.span_minutes", self.span_minutes, "more than 0 minutes")
        require(
            self.warm_up_minutes >= 0, "bounds.warm_up_minutes", self.warm_up_minutes, "0 or more minutes"
        )


@dataclass(frozen=True, kw_only=True)
class SoakConfig:
    """A session of its own process, one reader, and how long to watch them."""

    minutes: float = 60.0
    """Length."""
    every_s: float = 10.0
    """One sample so often."""
    source: str = ""
    """What `stream-avs run --source` takes; a file is played in a loop. Empty for the bundled clip."""
    preset: str = ""
    """The network; empty for the default of `run`."""
    rate_hz: float = 0.0
    """Frames per second of `--source synthetic`; 0 for its default. Other sources have their own."""
    nice: int = 0
    """Priority of the session as in systemd's `Nice=`, -20 first; below 0 needs root. On a machine with
    other work the age of masks is that work's as much as the session's."""
    out: str = "out/soak"
    """Folder for samples.jsonl (grows while it runs), report.json, soak.png and session.log."""
    judge: bool = False
    """Run nothing; judge and draw what lies in the folder, e.g. after the run was killed."""
    options: tyro.conf.Suppress[tuple[str, ...]] = ()
    """More options for `stream-avs run`; on the command line, all that follows ` -- `."""
    bounds: Bounds = field(default_factory=Bounds)

    def __post_init__(self) -> None:
        require(0 < self.minutes <= 100_000, "minutes", self.minutes, "(0, 100000] minutes")
        require(0.1 <= self.every_s <= 600, "every_s", self.every_s, "0.1..600 s")
        require(0 <= self.rate_hz <= 240, "rate_hz", self.rate_hz, "0..240 Hz")
        require(-20 <= self.nice <= 19, "nice", self.nice, "-20..19")
        require(
            self.rate_hz == 0 or self.source == "synthetic",
            "rate_hz", self.rate_hz, "0, or --source synthetic",
        )  # fmt: skip
