"""Negative controls: what stands in whose place while an attack runs, and whether it makes any difference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from cutlayer.attack import Attack, TamperingAttack
from cutlayer.auditing import attacked, audit, grants
from cutlayer.defense import Defense
from cutlayer.message import Message
from cutlayer.simulation.assembly import assemble
from cutlayer.simulation.session import Session
from cutlayer.threat import Knows
from cutlayer.trigger import Trigger

Control = Literal["", "zeroed", "permuted", "faint", "confined"]


@dataclass
class Meanwhile:
    """What a control does while an attack of ``kind`` runs."""

    control: Control
    kind: type[Attack]
    changed: bool = False
    """Whether anything that an attack is shown, or plants, would have been another without it."""

    def instead(self) -> Iterator[tuple[object, str, object]]:
        """What is put in whose place."""
        if self.control:
            # Its guess is judged once, at the end.
            yield self.kind, "anytime", False
        if self.control == "zeroed":
            yield audit, "Outside", _ZeroOutside
            if issubclass(self.kind, TamperingAttack):
                # It attends the training, which is assembled there.
                yield attacked, "assemble", self._assembled
        if self.control == "faint":
            stamp = Trigger.stamp
            yield Trigger, "stamp", lambda trigger, inputs: self._unlike(inputs.clone(), stamp(trigger, inputs))

    def shown(self, message: Message) -> Message:
        """What an attack that only watches is shown instead of ``message``."""
        return self.zeros(message) if self.control == "zeroed" else message

    def zeros(self, message: Message) -> Message:
        """``message`` with zeros for all numbers but integers."""
        numbers = {name: tensor for name, tensor in message.tensors.items() if tensor.is_floating_point()}
        return message.replace(**{name: self._unlike(torch.zeros_like(t), t) for name, t in numbers.items()})

    def _unlike(self, instead: Tensor, real: Tensor) -> Tensor:
        self.changed |= not torch.equal(instead, real)
        return instead

    def _assembled(self, *arguments: Any) -> Session:
        session = assemble(*arguments)
        session.defenses = {number: [*own, _Zeros(self)] for number, own in session.defenses.items()}
        return session


@dataclass
class _Zeros(Defense):
    """A client from whose messages nothing can be learned but their shapes."""

    meanwhile: Meanwhile

    def guard(self, message: Message) -> Message:
        return self.meanwhile.zeros(message)


class _ZeroOutside(grants.Outside):
    """Gradients and answers to queries are given out by the client, too."""

    def __call__(self, what: Knows, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        found = super().__call__(what, tensors)
        given_out = what in {Knows.PEER_GRADIENTS, Knows.PEER_QUERIES}
        return {name: torch.zeros_like(tensor) for name, tensor in found.items()} if given_out else found
