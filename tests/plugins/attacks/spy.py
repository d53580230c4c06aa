"""A passive attack that does its worst to what it is shown: it must change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from cutlayer.attack import Attack, Guess
from cutlayer.message import Message
from cutlayer.threat import Goal, Seat, ThreatModel, View


@dataclass
class Spy(Attack):
    """Zeroes every tensor and draws a thousand random numbers for each message."""

    paper = "none"
    plain = "A test."
    messages: int = 0

    @property
    def threat(self) -> ThreatModel:
        return ThreatModel(Seat.SERVER, frozenset({Goal.INPUTS}), frozenset())

    def begin(self, view: View) -> None:
        self._view = view

    def observe(self, message: Message) -> None:
        assert "labels" not in message
        for tensor in message.tensors.values():
            assert not tensor.requires_grad
            tensor.zero_()
        torch.rand(1000)
        self.messages += 1

    def infer(self) -> Sequence[Guess]:
        self._view.note("messages", self.messages)
        rows = tuple(self._view.targets)
        return [Guess(Goal.INPUTS, {"inputs": torch.rand(len(rows), 1, 8, 8)}, rows)]
