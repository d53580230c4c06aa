"""What crosses the boundary between two parties."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

import torch
from torch import Tensor


class Kind(StrEnum):
    """What a message asks for; a reply has the kind of its request."""

    TRAIN = "train"
    """One whole training step of the party that answers."""
    FORWARD = "forward"
    """The forward half of a training step."""
    BACKWARD = "backward"
    """The backward half of a training step."""
    PREDICT = "predict"
    """Outputs in evaluation mode; nothing is learned."""
    WEIGHTS = "weights"
    """The hand-over of a client part between turns."""


@dataclass(frozen=True, slots=True)
class Message:
    """Named tensors from one party to another; immutable, a change is a new message."""

    kind: Kind
    sender: str
    step: int
    """Training steps completed before this message (``PREDICT``: predictions asked for before)."""
    tensors: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        object.__setattr__(self, "tensors", MappingProxyType(dict(self.tensors)))

    def __getitem__(self, name: str) -> Tensor:
        """The tensor called ``name``; ``KeyError`` when the message does not carry it."""
        return self.tensors[name]

    def __contains__(self, name: object) -> bool:
        return name in self.tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def reply(self, sender: str, **tensors: Tensor) -> Message:
        """An answer to this message, of its kind and step."""
        return Message(self.kind, sender, self.step, tensors)

    def copy(self) -> Message:
        """The same message with tensors that share nothing with these: no storage, no autograd graph."""
        return Message(self.kind, self.sender, self.step, {name: detached(t) for name, t in self.tensors.items()})

    def replace(self, **tensors: Tensor) -> Message:
        """The same message with some tensors exchanged; a name it does not carry is a ``KeyError``."""
        for name in tensors:
            self.tensors[name]
        return Message(self.kind, self.sender, self.step, {**self.tensors, **tensors})


def detached(tensor: Tensor) -> Tensor:
    """A contiguous copy outside every autograd graph: what bytes on a wire would give back."""
    return tensor.detach().clone(memory_format=torch.contiguous_format)
