"""What rings, join, wire and publishing add to a mask's age, and whether slow readers hurt others.

A source and a model that cost nothing run through the real pipeline and real sockets; readers sit
in another process. Added time = received - arrived - time inside the model.
"""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from multiprocessing.queues import Queue

from stream_avs.benchmarks.machine import Quantiles, quantiles
from stream_avs.benchmarks.stand_ins import DiscModel, SteadySource
from stream_avs.config import PublishConfig, RunConfig
from stream_avs.errors import StreamAvsError
from stream_avs.pipeline import Pipeline, run_until_done
from stream_avs.publish.subscriber import Subscriber
from stream_avs.publish.zeromq import Publisher
from stream_avs.types import NS_PER_MS

WARM_UP_MASKS = 45  # 1.5 s at 30 Hz: until then the audio context is half empty
READERS_START_S = 4.0
READERS_TIMEOUT_S = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """One subscriber: its name, profile, and the pause it makes after each mask."""

    name: str
    profile: str = "latest"
    pause_s: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ReaderReport:
    """What one reader saw: milliseconds added by the pipeline, and age of masks when read."""

    name: str
    added: Quantiles
    age: Quantiles


@dataclass(frozen=True, kw_only=True, slots=True)
class Overhead:
    """One run: picture, rate, and every reader's report."""

    width_px: int
    height_px: int
    fps: float
    duration_s: float
    captured: int
    masks: int
    readers: tuple[ReaderReport, ...]


def measure_overhead(
    readers: tuple[Reader, ...],
    *,
    width_px: int = 640,
    height_px: int = 480,
    fps: float = 30.0,
    duration_s: float = 20.0,
) -> Overhead:
    """Run the pipeline for `duration_s` with `readers` in another process.

    Raises:
        StreamAvsError: the readers did not start.
    """
    context = multiprocessing.get_context("spawn")
    samples: Queue[tuple[str, float, float]] = context.Queue()
    config = RunConfig(source="steady", publish=PublishConfig(address="tcp://127.0.0.1:*"))
    source = SteadySource(width_px, height_px, fps, duration_s)
    collected: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def drain() -> None:
        while not samples.empty():  # a full pipe would silence the readers
            name, added_ms, age_ms = samples.get()
            collected[name].append((added_ms, age_ms))

    with Publisher(config.publish, config.name) as publisher:
        child = context.Process(target=_read, args=(publisher.address, readers, samples), daemon=True)
        child.start()
        try:
            time.sleep(READERS_START_S)
            with Pipeline(config, source, DiscModel(), (publisher.publish,)) as pipeline:
                run_until_done(pipeline, tick=drain)
            time.sleep(0.5)
            drain()
        finally:
            child.terminate()
            child.join()
    return Overhead(
        width_px=width_px, height_px=height_px, fps=fps, duration_s=duration_s,
        captured=pipeline.captured, masks=pipeline.snapshot().masks,
        readers=tuple(_report(r, collected[r.name]) for r in readers),
    )  # fmt: skip


def _report(reader: Reader, samples: list[tuple[float, float]]) -> ReaderReport:
    if not samples:
        raise StreamAvsError(f"reader {reader.name} received no mask", "Run again on a quieter machine")
    return ReaderReport(
        name=reader.name,
        added=quantiles([added for added, _ in samples]),
        age=quantiles([age for _, age in samples]),
    )


def _read(address: str, readers: tuple[Reader, ...], samples: Queue[tuple[str, float, float]]) -> None:
    threads = [threading.Thread(target=_read_one, args=(address, r, samples), daemon=True) for r in readers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _read_one(address: str, reader: Reader, samples: Queue[tuple[str, float, float]]) -> None:
    with Subscriber(address, profile=reader.profile, timeout_s=READERS_TIMEOUT_S) as subscriber:
        for result in subscriber:
            now_ns = time.monotonic_ns()
            if result.window_seq >= WARM_UP_MASKS:
                added_ms = (now_ns - result.arrival_ns) / NS_PER_MS - result.latency_ms["model"]
                samples.put((reader.name, added_ms, (now_ns - result.stamp_ns) / NS_PER_MS))
            if reader.pause_s:
                time.sleep(reader.pause_s)
