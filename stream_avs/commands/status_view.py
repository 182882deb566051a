"""The live status of a running stream: a panel on a terminal, one line now and then elsewhere."""

from __future__ import annotations

import math
import sys
import time
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from stream_avs.engine.statistics import Snapshot
from stream_avs.types import FRAME_DROPS, ResultState, SourceState

LINE_EVERY_S = 2.0
LEVEL_FLOOR_DBFS = -60.0
BAR_CELLS = 20


class StatusView:
    """Shows snapshots; a context manager.

    Args:
        title: what is running, e.g. "cam0 <- camera 0".
        notes: remarks to show below the title once.
        enabled: False shows nothing.
    """

    def __init__(self, title: str, notes: tuple[str, ...] = (), *, enabled: bool = True) -> None:
        self._title = title
        self._notes = notes
        self._enabled = enabled
        self._console = Console(file=sys.stderr)
        self._live: Live | None = None
        self._last_line_s = -math.inf

    def __enter__(self) -> StatusView:
        if self._enabled and self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=8, transient=True)
            self._live.__enter__()
        elif self._enabled:
            for note in (self._title, *self._notes):
                self._console.print(note, markup=False, highlight=False, soft_wrap=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)
            self._live = None

    def show(self, snapshot: Snapshot, captured: int, subscribers: int) -> None:
        """Update with one snapshot."""
        if self._live is not None:
            self._live.update(self._panel(snapshot, captured, subscribers))
        elif self._enabled and time.monotonic() - self._last_line_s >= LINE_EVERY_S:
            self._last_line_s = time.monotonic()
            self._console.print(one_line(snapshot), markup=False, highlight=False, soft_wrap=True)

    def _panel(self, snapshot: Snapshot, captured: int, subscribers: int) -> Panel:
        table = Table.grid(padding=(0, 2))
        table.add_column(justify="right", style="dim")
        table.add_column()
        table.add_row("masks/s", f"{snapshot.masks_per_s:5.1f}   {snapshot.masks} of {captured} frames")
        if told := source(snapshot):
            table.add_row("source", Text(told, style="yellow"))
        if snapshot.rung != "full":
            table.add_row("overload", Text(snapshot.rung, style="yellow"))
        table.add_row("age", f"p50 {ms(snapshot.age_p50_ms)}   p95 {ms(snapshot.age_p95_ms)}")
        table.add_row("stages", stages(snapshot) or "-")
        table.add_row("dropped", drops(snapshot) or "none")
        if other := other_events(snapshot):
            table.add_row("events", other)
        table.add_row("hears", level_bar(snapshot.audio_level_dbfs))
        table.add_row("sounding", sounding(snapshot))
        table.add_row("readers", str(subscribers))
        notes = [Text(note, style="dim") for note in self._notes]
        return Panel(Group(table, *notes), title=self._title, title_align="left", expand=False)


def one_line(snapshot: Snapshot) -> str:
    """The snapshot in one line."""
    overload = f"  overload: {snapshot.rung}" if snapshot.rung != "full" else ""
    state = f"  source {told}" if (told := source(snapshot)) else ""
    return (
        f"{snapshot.masks_per_s:5.1f} masks/s{overload}{state}"
        f"  age p50 {ms(snapshot.age_p50_ms)} p95 {ms(snapshot.age_p95_ms)}"
        f"  dropped {drops(snapshot) or 'none'}  sounding {sounding(snapshot).plain}"
    )


def summary(snapshot: Snapshot, captured: int) -> str:
    """What to say at the end: frames, masks, and every drop with its reason."""
    dropped = sum(n for event, n in snapshot.counts.items() if event in FRAME_DROPS)
    lines = [f"{captured} frames, {snapshot.masks} masks, {dropped} dropped ({drops(snapshot) or 'none'})"]
    if other := other_events(snapshot):
        lines.append(f"events: {other}")
    return "\n".join(lines)


def ms(value: float) -> str:
    """Milliseconds for people."""
    return "   - " if math.isnan(value) else f"{value:4.0f} ms"


def stages(snapshot: Snapshot) -> str:
    """Median per stage, without the total."""
    return "  ".join(
        f"{name} {value:.1f}" for name, value in snapshot.stages_p50_ms.items() if name != "total"
    )


def source(snapshot: Snapshot) -> str:
    """How the source is, e.g. "reconnecting: lost camera 0"; "" while all is well."""
    status = snapshot.source
    if status.state is SourceState.LIVE:
        return ""
    return f"{status.state.value}: {status.detail}" if status.detail else status.state.value


def drops(snapshot: Snapshot) -> str:
    """Dropped frames by reason."""
    return ", ".join(f"{n} {event}" for event, n in sorted(snapshot.counts.items()) if event in FRAME_DROPS)


def other_events(snapshot: Snapshot) -> str:
    """Counted events that are not dropped frames."""
    return ", ".join(
        f"{n} {event}" for event, n in sorted(snapshot.counts.items()) if event not in FRAME_DROPS
    )


def sounding(snapshot: Snapshot) -> Text:
    """What sounds in the newest mask."""
    if snapshot.state is None:
        return Text("waiting for the first mask", style="dim")
    if snapshot.state is ResultState.NO_AUDIO:
        return Text("no audio", style="yellow")
    if not snapshot.sounding:
        return Text("nothing", style="dim")
    return Text(
        "  ".join(f"{s.name} {s.score:.2f} ({s.area:.0%} of the picture)" for s in snapshot.sounding),
        style="bold green",
    )


def level_bar(level_dbfs: float) -> str:
    """Audio level as a bar from -60 dBFS to 0."""
    share = (max(level_dbfs, LEVEL_FLOOR_DBFS) - LEVEL_FLOOR_DBFS) / -LEVEL_FLOOR_DBFS
    filled = round(share * BAR_CELLS)
    return "█" * filled + "·" * (BAR_CELLS - filled) + f" {level_dbfs:4.0f} dBFS"
