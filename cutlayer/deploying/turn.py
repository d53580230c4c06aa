"""Whose training steps come when, and where two sides that were cut off meet again."""

from __future__ import annotations

from dataclasses import dataclass

MOST_TURNS, MOST_STEPS = 10**8, 10**12
"""Of a training: the names of checkpoints have eight digits for the one, twelve for the other."""


@dataclass(frozen=True)
class Turn:
    """A stretch of training steps of one client."""

    number: int = 0
    """Counted from 1 over the whole training; 0: before the first."""
    epoch: int = 0
    client: int = 0
    """Its place in the plan."""
    first: int = 0
    """The turn's first batch in the client's order of this epoch."""
    count: int = 0
    """Batches."""
    start: int = 0
    """Training steps completed before the turn, by all clients."""
    epoch_steps: int = 0
    """Training steps in an epoch over all clients' data: what a rate that falls after an epoch depends on."""

    @property
    def end(self) -> int:
        """Training steps completed after it."""
        return self.start + self.count


def common_step(driver: int, answerer: int, reaches: tuple[int, int], start: int) -> int | None:
    """The step to which both sides go back; ``None`` where they fit: the one that answers is there, or one ahead."""
    if answerer - driver in (0, 1):
        return None
    lower = min(driver, answerer)
    return lower if lower >= max(reaches) else start
