"""`stream-avs bench live`: masks per second and their age on the real path, in real time."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from stream_avs.config import ModelConfig, require

if TYPE_CHECKING:
    from stream_avs.benchmarks.live import Live

_CLIP = "assets/talkers.mp4"


@dataclass(frozen=True, kw_only=True)
class LiveBenchConfig:
    """The source of `bench live`: the bundled clip again and again, as a camera would give it."""

    fps: float = 30.0
    """Its frame rate, Hz. `--fps` for short."""
    width_px: int = 640
    """Its width."""
    height_px: int = 480
    """Its height."""
    busy_core: bool = False
    """Keep one core busy with another process. `--busy-core` for short."""

    def __post_init__(self) -> None:
        require(1 <= self.fps <= 120, "live.fps", self.fps, "1..120 Hz")
        require(32 <= self.width_px <= 3840, "live.width_px", self.width_px, "32..3840")
        require(32 <= self.height_px <= 2160, "live.height_px", self.height_px, "32..2160")


def run_live(config: LiveBenchConfig, model: ModelConfig, duration_s: float, console: Console) -> Live:
    """Measure and print.

    Raises:
        StreamAvsError: the network cannot be loaded, or no mask reached the subscriber.
    """
    from stream_avs.benchmarks.clip import clip_at
    from stream_avs.benchmarks.live import WARM_UP_S, measure_live

    clip, size = Path(str(files("stream_avs") / _CLIP)), (config.width_px, config.height_px)
    long_enough_s = WARM_UP_S + duration_s + 2.0  # so that its end is not part of what is measured
    with (
        console.status("writing the source") as status,
        clip_at(clip, config.fps, size, long_enough_s) as source,
    ):
        live = measure_live(
            model, source, fps=config.fps, duration_s=duration_s, busy_core=config.busy_core,
            progress=status.update,
        )  # fmt: skip
    console.print(_table(live))
    for note in live.notes:
        console.print(note, markup=False, highlight=False)
    return live


def _table(live: Live) -> Table:
    busy = ", one core kept busy" if live.busy_core else ""
    table = Table(
        title=f"{live.model}, {live.width_px}x{live.height_px} at {live.fps:g} Hz{busy}",
        title_justify="left",
        show_header=False,
    )
    table.add_column()
    table.add_column()
    spent = ", ".join(f"{stage} {ms:.1f}" for stage, ms in live.stages_ms.items())
    rows = {
        "masks per second": f"{live.masks_per_s:.1f}",
        "age when read": str(live.age),
        "results": ", ".join(f"{n} {state}" for state, n in live.states.items()),
        "frames and events": ", ".join([f"{live.captured} captured", *map(_event, live.events.items())]),
        "stages, p50 ms": spent,
        "processor time": f"{live.cpu_ms:.1f} ms per mask",
        "loading": f"{live.load_s:.1f} s",
        "memory": f"{live.memory_mb:.0f} MB",
        "load of the machine": f"{live.load_before:.1f} before, {live.load_after:.1f} after",
    }
    for row in rows.items():
        table.add_row(*row)
    return table


def _event(item: tuple[str, int]) -> str:
    return f"{item[1]} {item[0]}"
