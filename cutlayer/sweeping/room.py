"""How many cells are at work at once: each one has cores of its own."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True)
class Room:
    """The cores of a machine, and how many cells may share them."""

    cores: int
    cells: int
    """At once, at most."""

    def beside(self, running: Collection[int], cores: int) -> bool:
        """Whether a cell on so many ``cores`` can begin beside those ``running`` on theirs; alone any can."""
        return not running or (len(running) < self.cells and sum(running) + cores <= self.cores)

    def most(self, cores: Sequence[int]) -> int:
        """How many of the cells on so many ``cores`` each can ever be at work at once."""
        fit = sum(together <= self.cores for together in accumulate(sorted(cores)))
        return min(max(fit, 1), self.cells)

    def seconds(self, cores: Sequence[int], each: Sequence[float]) -> float:
        """How long cells on so many ``cores`` take together that take so long ``each``: whatever fits begins."""
        left, running, now = list(zip(cores, each, strict=True)), list[tuple[float, int]](), 0.0
        while left or running:
            for cell in list(left):
                if self.beside([taken for _, taken in running], cell[0]):
                    left.remove(cell)
                    running.append((now + cell[1], cell[0]))
            ended = min(running)
            running.remove(ended)
            now = ended[0]
        return now
