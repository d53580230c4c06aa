"""Where the training of a deployment stands, for its server: what goes into every checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Standing:
    """The server's notes. Clients go by their numbers, turns too, from 1 on."""

    last: int | None = None
    """The client that took the last turn; None before any."""
    last_turn: int = 0
    """The last one that anybody took."""
    done: int = 0
    """So many turns are over, those skipped among them."""
    skipped: list[int] = field(default_factory=list)
    evaluated: int = 0
    """The last epoch after which the accuracy was measured."""
    measured: list[int] = field(default_factory=list)
    """The clients that have measured the final accuracy since, each on its own test data."""
    rows: list[int] = field(default_factory=list)
    """The training rows of each client; empty until all have joined."""
    meaning: dict[str, str] = field(default_factory=dict)
    """What the numbers in everybody's data stand for, as digests."""
    finished: list[int] = field(default_factory=list)
    """The clients that have the final part and were let go."""

    @classmethod
    def read(cls, notes: Mapping[str, Any]) -> Standing:
        """What the notes of a checkpoint say."""
        return cls(**notes["standing"])

    def noted(self, **changes: Any) -> dict[str, Any]:
        """For the notes of a checkpoint, with ``changes``."""
        return {"standing": asdict(replace(self, **changes))}
