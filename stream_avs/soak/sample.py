"""One look at a running session, and the file that keeps them."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from stream_avs.errors import ConfigError, PublishError

_STEP = math.log(1.01)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """What happened since the sample before, and what the session uses now.

    Attributes:
        at_s: seconds since the first frame was asked for.
        frames, masks: since the start of the session.
        received: masks that reached the reader since the sample before.
        masks_per_s: of those.
        age_p50_ms, age_p99_ms, age_max_ms: of those, from capture to the reader; 0 without any.
        age_bins: how many of those have an age of about 1.01**k ms, by k as text.
        silence_s: longest time between two masks, counted to the next sample if it goes on.
        events: since the start of the session, by name.
        source: state of the source.
        rung: what the overload ladder has given up, or "full".
        resident_mb, heap_mb: memory in RAM; allocated and not freed. 10^6 bytes.
        files, threads: open file descriptors; threads.
        cpu_cores: processors the session has kept busy since the sample before.
        machine_cores: processors that all processes have kept busy.
    """

    at_s: float
    frames: int
    masks: int
    received: int
    masks_per_s: float
    age_p50_ms: float
    age_p99_ms: float
    age_max_ms: float
    age_bins: dict[str, int]
    silence_s: float
    events: dict[str, int]
    source: str
    rung: str
    resident_mb: float
    heap_mb: float
    files: int
    threads: int
    cpu_cores: float
    machine_cores: float


def bins_of(ages_ms: Iterable[float]) -> dict[str, int]:
    """Count ages in ranges of one per cent; see `Sample.age_bins`."""
    counts = Counter(math.floor(math.log(max(age, 1e-3)) / _STEP) for age in ages_ms)
    return {str(k): n for k, n in sorted(counts.items())}


def quantile_ms(bins: Iterable[Mapping[str, int]], q: float) -> float:
    """The q-quantile of all ages in the bins, to half a per cent; NaN without any."""
    counts: Counter[int] = Counter()
    for some in bins:
        counts.update({int(k): n for k, n in some.items()})
    left = q * (counts.total() - 1)
    for k, n in sorted(counts.items()):
        if left < n:
            return math.exp((k + 0.5) * _STEP)
        left -= n
    return math.nan


class SampleFile:
    """JSON lines: one that says what runs where, then one per sample, each on the disk at once.

    Args:
        path: is replaced.
        head: what runs where.

    Raises:
        PublishError: the file cannot be written.
    """

    def __init__(self, path: Path, head: Mapping[str, Any]) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w")
        except OSError as error:
            raise PublishError(f"cannot write {path}: {error.strerror}", "Choose another --out") from None
        self._write(head)

    def add(self, sample: Sample) -> None:
        """Append; a run that is killed keeps it.

        Raises:
            PublishError: the disk is full.
        """
        self._write(asdict(sample))

    def close(self) -> None:
        """May be called twice."""
        self._file.close()

    def __enter__(self) -> SampleFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        except OSError as error:
            raise PublishError(f"cannot write {self._path}: {error.strerror}", "Free some space") from None


def read_samples(path: Path) -> tuple[dict[str, Any], list[Sample]]:
    """Return head and samples of a file; a last line cut short is left out.

    Raises:
        ConfigError: no such file, or not one of samples.
    """
    try:
        head, *lines = path.read_bytes().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith(b"\n")]
        return json.loads(head), [msgspec.json.decode(line, type=Sample) for line in whole]
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", "Is --out the folder of a run?") from None
    except ValueError as error:  # of json and of msgspec too
        raise ConfigError(f"{path} holds no samples: {error}", "Is --out the folder of a run?") from None
