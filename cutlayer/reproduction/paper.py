"""A paper as what it printed and the cells that measure it anew."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from cutlayer.reproduction.block import Block
    from cutlayer.reproduction.found import Found

Scale = Literal["smoke", "quick", "paper"]
SCALES: tuple[Scale, ...] = get_args(Scale)


@dataclass(frozen=True)
class Cell:
    """One cell of a grid, without its seed: keys of an experiment, ``plugin.option`` among them."""

    values: Mapping[str, Any]
    """What makes it this cell: a record belongs to it when it has all of them."""
    how: Mapping[str, Any] = field(default_factory=dict)
    """What it is run with on top, where nothing else is asked for: shown beside its numbers, not looked for."""


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
class Paper:
    """Everything of a paper that is measured anew."""

    citation: str
    text: str
    exhibits: Sequence[Exhibit]
