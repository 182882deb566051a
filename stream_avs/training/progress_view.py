"""Progress for people: a bar on a terminal, a line now and then elsewhere, nothing in other processes."""

from __future__ import annotations

import math
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINE_EVERY_S = 15.0


class ProgressView:
    """Shows how a run goes; a context manager.

    Args:
        enabled: False shows nothing.
        console: where to; None for standard error.
    """

    def __init__(self, *, enabled: bool, console: Console | None = None) -> None:
        self._enabled = enabled
        self._console = console or Console(stderr=True)
        self._bar: Progress | None = None
        self._last_line_s = -math.inf

    def __enter__(self) -> ProgressView:
        if self._enabled and self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"), console=self._console,
            )  # fmt: skip
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def task(self, name: str, total: int, done: int = 0) -> Task:
        """Begin something that has `total` parts, `done` of them done."""
        return Task(self, name, total, done)

    def say(self, text: str) -> None:
        """Show one line that stays."""
        if self._enabled:
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def line(self, text: str) -> None:
        """Show one line where there is no bar, if the last one is a while ago."""
        if self._bar is None and time.monotonic() - self._last_line_s >= LINE_EVERY_S:
            self._last_line_s = time.monotonic()
            self.say(text)

    @property
    def bar(self) -> Progress | None:
        """rich's progress display, or None where there is no terminal."""
        return self._bar


class Task:
    """One thing under way in a `ProgressView`; see its `task`."""

    def __init__(self, view: ProgressView, name: str, total: int, done: int) -> None:
        self._view, self._name, self._total, self._done = view, name, total, done
        self._id = None
        if view.bar is not None:
            self._id = view.bar.add_task(name, total=total, completed=done, note="")

    def advance(self, count: int = 1, note: str = "") -> None:
        """`count` more parts are done; `note` says how it goes."""
        self._done += count
        if self._id is not None and self._view.bar is not None:
            self._view.bar.update(self._id, advance=count, note=note)
        else:
            self._view.line(f"{self._name} {self._done}/{self._total}  {note}".rstrip())

    def end(self) -> None:
        """Take the bar away."""
        if self._id is not None and self._view.bar is not None:
            self._view.bar.remove_task(self._id)
