"""What an attack may do with the live party of its own seat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from cutlayer.computing import Computing


class OwnParty(Protocol):
    """The party that the attack sits in: whatever it does to it, it has done to the training."""

    name: str
    """Under which it sends."""
    parts: nn.ModuleList
    """Its parts of the model, whose weights are those of the training."""
    schedule: Callable[[int], float]
    """Learning rate by step; another one may be put in its place."""
    step: int
    """Training steps completed."""
    computing: Computing
    """How it computes: ``computing.place(module)`` brings a network of the attack's own there."""

    @property
    def device(self) -> torch.device:
        """Where its parts are."""

    def forward(self, inputs: Tensor, part: int = 0, training: bool = True, stream: str = "train") -> Tensor:
        """The output of one part for ``inputs`` [n, ...]: in training with a graph, for ``backward``.

        What passes more than once through a part in one step draws from a ``stream`` of another name each time.
        """

    def backward(self, output: Tensor, grad: Tensor | None = None) -> None:
        """Add the gradients of one backward pass; ``grad`` is the gradient at ``output``, or ``None`` at a loss."""

    def apply(self) -> None:
        """One optimizer step on the gradients added since the last one; completes the training step."""
