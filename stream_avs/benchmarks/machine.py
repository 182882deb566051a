"""What a figure was measured on, and how figures are summed up."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stream_avs import __version__


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """Where and with what a benchmark ran."""

    cpu: str
    cores: int
    python: str
    system: str
    stream_avs: str


def this_machine() -> Machine:
    """Describe the machine this runs on."""
    return Machine(
        cpu=_cpu_name(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        python=platform.python_version(),
        system=platform.platform(),
        stream_avs=__version__,
    )


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantiles:
    """A distribution in milliseconds."""

    n: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float

    def __str__(self) -> str:
        return (
            f"p50 {self.p50_ms:.2f}  p95 {self.p95_ms:.2f}  p99 {self.p99_ms:.2f}  "
            f"max {self.max_ms:.2f} ms  (n={self.n})"
        )


def quantiles(values_ms: Sequence[float]) -> Quantiles:
    """Sum up a non-empty list of milliseconds."""
    p50, p95, p99 = (float(q) for q in np.percentile(values_ms, (50, 95, 99)))
    return Quantiles(
        n=len(values_ms), p50_ms=p50, p95_ms=p95, p99_ms=p99, max_ms=float(max(values_ms))
    )  # fmt: skip


def resident_mb() -> float:
    """Memory of this process that lies in RAM, in MB (10^6 bytes); Linux only, else 0."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
