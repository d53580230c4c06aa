"""A paper as what it printed and the cells that measure it anew."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cutlayer.reproduction.block import Block
from cutlayer.reproduction.cell import Cell, Scale
from cutlayer.reproduction.comparison import Number
from cutlayer.reproduction.found import Found


@dataclass(frozen=True)
class Exhibit:
    """A table or a figure of a paper."""

    name: str
    """As the paper calls it, in lower case: ``table 2``, ``figure 3a``."""
    title: str
    text: str
    """What the paper shows with it, and what one must know to read it."""
    cells: Callable[[Scale], Sequence[Cell]]
    """What is run at a scale; nothing where it makes no sense."""
    blocks: Callable[[Found], Sequence[Block]]
    """Ours beside the printed, from whatever records there are; empty where there are none."""

    @property
    def option(self) -> str:
        """What chooses it on the command line."""
        kind, _, number = self.name.partition(" ")
        return f"--{self.name}" if kind in {"table", "figure"} and number else f"--only {shlex.quote(self.name)}"


@dataclass(frozen=True)
class Headline:
    """A number that a paper is known by, for the page of all papers."""

    what: str
    """Who attacks what, in a few words."""
    exhibit: Exhibit
    """Whose cells measure it."""
    wanted: Mapping[str, Any]
    """What those cells have."""
    number: Number
    printed: float | None
    of: str = ""
    """Of what the printed value is, where not of the same."""
    setting: str = ""
    """Where the cell is not one of the paper's: how it was run."""
    beside: Number | None = None
    """What is told with ``what``, where it tells apart what is attacked."""
    but: Sequence[str] = ()
    """What a difference from the published setting begins with where another reading of the paper was measured."""


@dataclass(frozen=True)
class Paper:
    """Everything of a paper that is measured anew."""

    citation: str
    text: str
    exhibits: Sequence[Exhibit]
    headlines: Sequence[Headline] = ()
