"""What the last command into a run has asked for, beside what is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cutlayer.layout import RunFolder
from cutlayer.record import RECORD


@dataclass(frozen=True)
class Request:
    """How many cells were asked for, and how many of those have left no record."""

    asked: int = 0
    left: int = 0

    @property
    def told(self) -> str:
        """How far the command has come, in a sentence; empty where it has come to its end."""
        ran, rest = ("has" if count == 1 else "have" for count in (self.asked - self.left, self.left))
        done = f"{self.asked - self.left} of {self.asked} cells that the last command asked for {ran} run"
        return f"{done}; {self.left} {rest} not." if self.left else ""


def requested(run: Path) -> Request:
    """Of the command that was begun last; of nothing where the folder does not tell, as those of early runs."""
    file = RunFolder(run).request
    names = set(file.read_text(encoding="utf-8", errors="replace").splitlines()) if file.is_file() else set[str]()
    there = {path.parent.name for path in RunFolder(run).cells.glob(f"*/{RECORD}")}
    return Request(len(names), len(names - there))
