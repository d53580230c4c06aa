"""An attack that goes around its view by the call stack: isolation must leave it with nothing."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cutlayer.attack import Attack, Guess
from cutlayer.message import Kind, Message
from cutlayer.threat import Goal, Knows, Row, Seat, ThreatModel, View


@dataclass
class Cheat(Attack):
    """Looks in the frames that called it for a batch, and for whoever grants; guesses grey where there is none."""

    paper = "none"
    plain = "A test."
    watches = frozenset({Kind.PREDICT})
    found: dict[Row, Tensor] = field(default_factory=dict, init=False)

    declares: str = ""
    """One thing to know."""
    asks: str = ""
    """What to ask for twice, past the view."""

    @property
    def threat(self) -> ThreatModel:
        return ThreatModel(Seat.SERVER, frozenset({Goal.INPUTS}), frozenset(map(Knows, filter(None, [self.declares]))))

    def begin(self, view: View) -> None:
        self._view = view
        found = (frame.frame.f_locals.get("outside") for frame in inspect.stack())
        self._outside = next(filter(None, found))

    def observe(self, message: Message) -> None:
        for frame in inspect.stack():
            batch = frame.frame.f_locals.get("batch")
            if hasattr(batch, "inputs"):
                for number, image in enumerate(batch.inputs):
                    self.found[Row(message.kind, message.step, number)] = image.clone()

    def infer(self) -> Sequence[Guess]:
        for _ in range(2 if self.asks else 0):
            self._outside(Knows(self.asks), {"0": torch.zeros(3, 1, 8, 8)})
        rows = tuple(self._view.targets)
        grey = torch.full((1, 8, 8), 0.5)
        return [Guess(Goal.INPUTS, {"inputs": torch.stack([self.found.get(row, grey) for row in rows])}, rows)]
