"""Cells of a paper's grids, at the scales they are run at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Scale = Literal["smoke", "quick", "paper"]
SCALES: tuple[Scale, ...] = get_args(Scale)


@dataclass(frozen=True)
class Cell:
    """One cell of a grid, without its seed: keys of an experiment, ``plugin.option`` among them."""

    values: Mapping[str, Any]
    """What makes it this cell: a record belongs to it when it has all of them."""
    how: Mapping[str, Any] = field(default_factory=dict)
    """What it is run with on top, where nothing else is asked for: shown beside its numbers, not looked for."""
    quick_seeds: int = 3
    """At the scale ``quick``, where nobody asks for another number: one where three take too long."""

    def seeds(self, scale: Scale) -> int:
        """How many a scale takes where nobody asks for another number."""
        return {"smoke": 1, "quick": self.quick_seeds, "paper": 5}[scale]
