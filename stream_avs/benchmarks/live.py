"""The whole live path as it is used: a file played in real time, its masks read by another process.

decode -> capture -> join -> session -> publish -> subscriber. On request another process keeps one
core busy meanwhile.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path

from stream_avs.benchmarks.machine import Quantiles, quantiles, resident_mb
from stream_avs.capture.media import Media
from stream_avs.config import ModelConfig, PublishConfig, RunConfig
from stream_avs.errors import StreamAvsError
from stream_avs.models.registry import load_model
from stream_avs.pipeline import Pipeline, follow
from stream_avs.publish.subscriber import Subscriber
from stream_avs.publish.wire import Profile
from stream_avs.publish.zeromq import Publisher
from stream_avs.types import NS_PER_MS, NS_PER_S, ResultState

WARM_UP_S = 3.0
"""Until then half of the audio context is missing, and the subscriber may still be connecting."""
_SILENCE_S = 20.0
_FRESH = (ResultState.OK, ResultState.RESET)


@dataclass(frozen=True, kw_only=True, slots=True)
class Live:
    """One run.

    Attributes:
        model: id of the network.
        width_px, height_px, fps: of the source.
        duration_s: measured, after the warm-up.
        busy_core: another process kept one core busy.
        masks_per_s: fresh masks that the subscriber read, per second; held ones do not count.
        age: of these masks when read, from the capture stamp of their frame.
        states: all results read, by state.
        captured: frames that came, from the start of the run.
        events: everything counted, from the start of the run; drops by their reason among them.
        stages_ms: median of each stage over the last seconds.
        cpu_ms: processor time of this process per fresh mask, all threads.
        load_s: seconds to load the network.
        memory_mb: of this process at the end, MB (10^6 bytes).
        load_before, load_after: load average of the machine over a minute; other work shows in it.
        notes: which backend runs and why not another.
    """

    model: str
    width_px: int
    height_px: int
    fps: float
    duration_s: float
    busy_core: bool
    masks_per_s: float
    age: Quantiles
    states: dict[str, int]
    captured: int
    events: dict[str, int]
    stages_ms: dict[str, float]
    cpu_ms: float
    load_s: float
    memory_mb: float
    load_before: float
    load_after: float
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """One result as the subscriber saw it; monotonic times."""

    read_ns: int
    stamp_ns: int
    state: str


def measure_live(
    config: ModelConfig,
    source: Path,
    *,
    fps: float,
    duration_s: float,
    busy_core: bool = False,
    progress: Callable[[str], None] = lambda what: None,
) -> Live:
    """Play `source`, which lasts longer than `duration_s` and the warm-up.

    Raises:
        StreamAvsError: the network cannot be loaded, or no mask reached the subscriber.
    """
    load_before = os.getloadavg()[0]
    progress("loading the network")
    begun_s = time.monotonic()
    model = load_model(config)
    load_s = time.monotonic() - begun_s
    run = RunConfig(source=str(source), model=config, publish=PublishConfig(address="tcp://127.0.0.1:*"))
    with (
        Publisher(run.publish, run.name) as publisher,
        _reader(publisher.address) as results,
        _busy(busy_core),
        Pipeline(run, Media(run.source, run.media), model, (publisher.publish,)) as pipeline,
    ):
        progress(f"playing {duration_s:.0f} s")
        info = pipeline.start()
        follow(pipeline, WARM_UP_S)
        start_ns, cpu_s = time.monotonic_ns(), time.process_time()
        follow(pipeline, duration_s)
        end_ns, cpu_s = time.monotonic_ns(), time.process_time() - cpu_s
        snapshot = pipeline.snapshot()
        time.sleep(0.3)  # what is on its way arrives
        read = [r for r in results() if start_ns <= r.read_ns < end_ns]
    fresh = [r for r in read if r.state in _FRESH]
    if not fresh:
        raise StreamAvsError("no mask reached the subscriber", "Run again on a quieter machine")
    return Live(
        model=model.id, width_px=info.width_px, height_px=info.height_px, fps=fps,
        duration_s=duration_s, busy_core=busy_core,
        masks_per_s=len(fresh) / ((end_ns - start_ns) / NS_PER_S),
        age=quantiles([(r.read_ns - r.stamp_ns) / NS_PER_MS for r in fresh]),
        states=dict(Counter(r.state for r in read)),
        captured=pipeline.captured, events={event.value: n for event, n in snapshot.counts.items()},
        stages_ms=snapshot.stages_p50_ms, cpu_ms=1000.0 * cpu_s / len(fresh),
        load_s=load_s, memory_mb=resident_mb(),
        load_before=load_before, load_after=os.getloadavg()[0], notes=model.notes,
    )  # fmt: skip


@contextmanager
def _reader(address: str) -> Iterator[Callable[[], list[Read]]]:
    """Read masks in another process; the function given ends it and returns what it read."""
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe()
    child = context.Process(target=_read, args=(address, its), daemon=True)
    child.start()
    its.close()

    def results() -> list[Read]:
        mine.send(None)
        found: list[Read] = mine.recv()
        return found

    try:
        if not mine.poll(_SILENCE_S):
            raise StreamAvsError("the subscriber did not start", "Run again on a quieter machine")
        mine.recv()
        yield results
    finally:
        child.terminate()
        child.join()


def _read(address: str, parent: Connection) -> None:
    read: list[Read] = []
    with Subscriber(address, profile=Profile.STREAM) as subscriber:
        parent.send(None)
        while not parent.poll():
            if (result := subscriber.recv(0.05)) is not None:
                state = result.state.value
                read.append(Read(read_ns=time.monotonic_ns(), stamp_ns=result.stamp_ns, state=state))
    parent.send(read)


@contextmanager
def _busy(wanted: bool) -> Iterator[None]:
    """Keep one core busy with another process, as far as the system lets it."""
    if not wanted:
        yield
        return
    child = multiprocessing.get_context("spawn").Process(target=_count, daemon=True)
    child.start()
    try:
        yield
    finally:
        child.terminate()
        child.join()


def _count() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    for _ in count():
        pass
