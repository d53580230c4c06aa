"""Who is told how the cells of a sweep go."""

from __future__ import annotations

from typing import Protocol


class Watcher(Protocol):
    """Is told how each cell goes, by its place among the cells."""

    def begin(self, number: int) -> None:
        """It starts."""

    def progress(self, number: int, what: str, done: int, total: int) -> None:
        """``done`` of ``total`` steps of ``what`` are done."""

    def end(self, number: int) -> None:
        """Its record is there."""


class Unwatched:
    """Nobody looks."""

    def begin(self, number: int) -> None:
        """Say nothing."""

    def progress(self, number: int, what: str, done: int, total: int) -> None:
        """Say nothing."""

    def end(self, number: int) -> None:
        """Say nothing."""
