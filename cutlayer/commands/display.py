"""Live progress on standard error: which cell, what it is doing, how long the rest will take."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column

from cutlayer.commands.say import say

_WIDE = 120  # columns of a terminal that has room for all there is to say
_QUIET_SECONDS = 15.0  # between two lines about the same work where there is no terminal to draw on


def duration(seconds: float) -> str:
    """Rounded for people."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


class Display:
    """One bar for the whole run and one for each cell at work; plain lines where there is no terminal."""

    def __init__(self, console: Console, titles: Sequence[str], seconds: Sequence[float]) -> None:
        self._console, self._titles, self._estimates = console, titles, list(seconds)
        wide = console.width >= _WIDE
        self._bars = Progress(
            # Where room is scarce the title goes first.
            TextColumn(
                "{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")
            ),
            TextColumn(
                "{task.fields[what]}",
                markup=False,
                table_column=Column(max_width=24, no_wrap=True, overflow="ellipsis"),
            ),
            BarColumn(bar_width=24 if wide else 10),
            TextColumn("{task.percentage:>3.0f}%"),
            *([TimeElapsedColumn()] if wide else []),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            expand=True,
        )
        self._whole: TaskID = self._bars.add_task("", total=max(sum(seconds), 1e-9), what="")
        self._ended: set[int] = set()
        self._at_work: dict[int, _AtWork] = {}

    def __enter__(self) -> Display:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._bars.stop()

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Without bars, for what others print meanwhile: drawn anew, they would cover it."""
        self._bars.stop()
        try:
            yield
        finally:
            self._bars.start()

    def begin(self, number: int) -> None:
        """Cell ``number`` (from 0) starts."""
        name = f"{number + 1}/{len(self._titles)} {self._titles[number]}"
        self._at_work[number] = _AtWork(self._bars.add_task(name, total=None, what=""), name)
        if not self._console.is_terminal:
            say(self._console, name)
        self._draw()

    def progress(self, number: int, what: str, done: int, total: int) -> None:
        """``done`` of ``total`` steps of ``what`` are done in cell ``number``."""
        cell = self._at_work[number]
        if what != cell.what:
            self._bars.reset(cell.bar)
        if not self._console.is_terminal:
            self._say(number, what, done, total)
        cell.what = what
        self._bars.update(cell.bar, completed=done, total=total, what=what)
        self._draw()

    def end(self, number: int) -> None:
        """Cell ``number`` has its record; it need not have begun."""
        self._ended.add(number)
        if number in self._at_work:
            cell = self._at_work.pop(number)
            self._bars.remove_task(cell.bar)
            if not self._console.is_terminal:
                took = duration(time.monotonic() - cell.begun)
                told = f"{cell.name}: ended after {took}; {self._progress()}"
                say(self._console, told)
        self._draw()

    def _draw(self) -> None:
        now = time.monotonic()
        # Within a cell the whole advances by the clock, up to what the cell was estimated to take.
        running = (min(now - cell.begun, self._estimates[number]) for number, cell in self._at_work.items())
        spent = sum(self._estimates[number] for number in self._ended) + sum(running)
        self._bars.update(self._whole, completed=spent, description=self._progress())

    def _progress(self) -> str:
        return f"{len(self._ended)} of {len(self._titles)} cells"

    def _say(self, number: int, what: str, done: int, total: int) -> None:
        cell, now = self._at_work[number], time.monotonic()
        if what != cell.what or now - cell.said > _QUIET_SECONDS:
            place = f"{number + 1}: " if len(self._at_work) > 1 else ""
            say(self._console, f"    {place}{what}: {done} of {total}")
            cell.said = now


@dataclass
class _AtWork:
    """A cell that has begun and has not ended."""

    bar: TaskID
    name: str
    what: str = ""
    said: float = 0.0
    begun: float = field(default_factory=time.monotonic)
