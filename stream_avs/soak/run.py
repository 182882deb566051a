"""Watch a session for a while: start it, read its masks, look at it now and then, judge."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import numpy as np

from stream_avs.benchmarks.machine import this_machine
from stream_avs.capture.address import redact
from stream_avs.errors import StreamAvsError
from stream_avs.observe.process import machine_busy_s, usage_of
from stream_avs.soak.config import SoakConfig
from stream_avs.soak.reader import Reader
from stream_avs.soak.sample import Sample, SampleFile, bins_of
from stream_avs.soak.session import Session

BUNDLED_CLIP = "assets/talkers.mp4"
SAMPLES, LOG = "samples.jsonl", "session.log"
INTERRUPTED = "interrupted"
_START_S = 180.0


def soak(config: SoakConfig, tell: Callable[[Sample], None] = lambda sample: None) -> str:
    """Run for `config.minutes`, or until interrupted, and write samples to `config.out`.

    Args:
        config: what and how long.
        tell: called with each sample.

    Returns:
        Why it ended early, e.g. `INTERRUPTED`; "" if it did not.

    Raises:
        StreamAvsError: the session did not start, or a file cannot be written.
    """
    folder = Path(config.out)
    options = options_of(config)
    head = {
        "machine": asdict(this_machine()),
        "options": [redact(option) for option in options],
        "nice": config.nice,
        "minutes": config.minutes,
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with (
        SampleFile(folder / SAMPLES, head) as file,
        Session(options, folder / LOG, config.nice) as session,
    ):
        session.wait_ready(_START_S)
        with Reader(session.address) as reader:
            watch = _Watch(session, reader)
            try:
                while watch.at_s < config.minutes * 60:
                    watch.wait(config.every_s)
                    sample = watch.look()
                    file.add(sample)
                    tell(sample)
            except KeyboardInterrupt:
                return INTERRUPTED
            except StreamAvsError as error:
                session.stop()
                return str(error)
    return ""


def options_of(config: SoakConfig) -> list[str]:
    """The options of `stream-avs run` for this soak."""
    source = config.source or str(files("stream_avs") / BUNDLED_CLIP)
    options = ["--source", source]
    if Path(source).is_file():
        options += ["--media.loop"]
    if config.preset:
        options += ["--model.preset", config.preset]
    if config.rate_hz:
        options += ["--synthetic.fps", f"{config.rate_hz:g}"]
    return [*options, *config.options]


class _Watch:
    """Takes samples of a session, each with what has changed since the one before."""

    def __init__(self, session: Session, reader: Reader) -> None:
        self._session = session
        self._reader = reader
        self._begun_s = self._looked_s = time.monotonic()
        self._taken = 0
        self._cpu_s = usage_of(session.pid).cpu_s
        self._machine_s = machine_busy_s()

    @property
    def at_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._begun_s

    def wait(self, every_s: float) -> None:
        """Sleep until the next sample is due."""
        self._taken += 1
        time.sleep(max(0.0, self._begun_s + self._taken * every_s - time.monotonic()))

    def look(self) -> Sample:
        """Take a sample; raises StreamAvsError when the session has ended."""
        # Before asking for its figures: that takes a thread and a file for a moment.
        usage, machine_s = usage_of(self._session.pid), machine_busy_s()
        figures = self._session.figures()
        heard, now_s = self._reader.take(), time.monotonic()
        span_s, self._looked_s = now_s - self._looked_s, now_s
        cpu_s, self._cpu_s = usage.cpu_s - self._cpu_s, usage.cpu_s
        busy_s, self._machine_s = machine_s - self._machine_s, machine_s
        p50, p99 = np.percentile(heard.ages_ms, (50, 99)) if heard.ages_ms else (0.0, 0.0)
        return Sample(
            at_s=round(now_s - self._begun_s, 3),
            frames=int(figures.of("stream_avs_frames_total")),
            masks=int(figures.of("stream_avs_masks_total")),
            received=len(heard.ages_ms),
            masks_per_s=round(len(heard.ages_ms) / span_s, 3),
            age_p50_ms=round(float(p50), 3),
            age_p99_ms=round(float(p99), 3),
            age_max_ms=round(max(heard.ages_ms, default=0.0), 3),
            age_bins=bins_of(heard.ages_ms),
            silence_s=round(heard.silence_s, 3),
            events={name: int(n) for name, n in figures.labels("stream_avs_events_total").items() if n},
            source=figures.current("stream_avs_source_state"),
            rung=figures.current("stream_avs_overload_rung"),
            resident_mb=usage.resident_bytes / 1e6,
            heap_mb=figures.of("stream_avs_heap_bytes") / 1e6,
            files=usage.files,
            threads=usage.threads,
            cpu_cores=round(cpu_s / span_s, 3),
            machine_cores=round(busy_s / span_s, 3),
        )
