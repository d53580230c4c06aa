"""An attack that reads the client's batch off the call stack: isolation must leave it with nothing."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cutlayer.attack import Attack, Guess
from cutlayer.message import Kind, Message
from cutlayer.threat import Goal, Row, Seat, ThreatModel, View


@dataclass
class Cheat(Attack):
    """Looks for a batch in the frames that called it; guesses grey where there is none."""

    paper = "none"
    plain = "A test."
    watches = frozenset({Kind.PREDICT})
    found: dict[Row, Tensor] = field(default_factory=dict, init=False)

    @property
    def threat(self) -> ThreatModel:
        return ThreatModel(Seat.SERVER, frozenset({Goal.INPUTS}), frozenset())

    def begin(self, view: View) -> None:
        self._view = view

    def observe(self, message: Message) -> None:
        for frame in inspect.stack():
            batch = frame.frame.f_locals.get("batch")
            if hasattr(batch, "inputs"):
                for number, image in enumerate(batch.inputs):
                    self.found[Row(message.kind, message.step, number)] = image.clone()

    def infer(self) -> Sequence[Guess]:
        rows = tuple(self._view.targets)
        grey = torch.full((1, 8, 8), 0.5)
        return [Guess(Goal.INPUTS, {"inputs": torch.stack([self.found.get(row, grey) for row in rows])}, rows)]
