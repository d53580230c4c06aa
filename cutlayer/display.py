"""Live progress on standard error: which cell, what it is doing, how long the rest will take."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_QUIET_SECONDS = 15.0  # between two lines about the same work where there is no terminal to draw on


def duration(seconds: float) -> str:
    """Rounded for people."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


class Display:
    """One bar for the whole run and one for what is being done; plain lines where there is no terminal."""

    def __init__(self, console: Console, cells: int, seconds: Sequence[float]) -> None:
        self._console, self._cells, self._estimates = console, cells, list(seconds)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._total: TaskID = self._bars.add_task("all", total=max(sum(seconds), 1e-9))
        self._work: TaskID | None = None
        self._what = ""
        self._spent, self._now, self._begun = 0.0, 0, 0.0
        self._said = 0.0

    def __enter__(self) -> Display:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._bars.stop()

    def begin(self, number: int, title: str) -> None:
        """Cell ``number`` (from 0) starts."""
        self._spent = sum(self._estimates[:number])
        self._now, self._begun = number, time.monotonic()
        self._bars.update(self._total, completed=self._spent, description=f"{number + 1}/{self._cells} {title}")
        self._what = ""
        if not self._console.is_terminal:
            self._console.print(f"{number + 1}/{self._cells} {title}", highlight=False)

    def progress(self, what: str, done: int, total: int) -> None:
        """``done`` of ``total`` steps of ``what`` are done."""
        if not self._console.is_terminal:
            self._say(what, done, total)
            return
        if what != self._what:
            if self._work is not None:
                self._bars.remove_task(self._work)
            self._work, self._what = self._bars.add_task(f"    {what}", total=total), what
        assert self._work is not None
        self._bars.update(self._work, completed=done, total=total)
        # Within a cell the whole advances by the clock, up to what the cell was estimated to take.
        elapsed = min(time.monotonic() - self._begun, self._estimates[self._now])
        self._bars.update(self._total, completed=self._spent + elapsed)

    def _say(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if what != self._what or now - self._said > _QUIET_SECONDS:
            self._console.print(f"    {what}: {done} of {total}", highlight=False)
            self._what, self._said = what, now
