"""A forward pass made before its step is due: with stashed weights, which the update in between leaves alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cutlayer.state import laid_out


@dataclass
class Stash:
    """The weights that a coming step's first forward pass is made with, and its output where it has been made."""

    step: int
    weights: dict[str, Tensor]
    """Leaf copies of the part's parameters, by name; the backward pass leaves its gradients at them."""
    buffers: dict[str, Tensor]
    """Copies of the part's buffers as they were before the pass."""
    output: Tensor | None = None

    def run(self, part: nn.Module, inputs: Tensor) -> Tensor:
        """The output of ``part`` with these weights; its buffers move as in any other forward pass."""
        output: Tensor = torch.func.functional_call(part, self.weights, (inputs,))
        return output

    def settle(self, part: nn.Module) -> None:
        """Add the gradients found so far to those of the weights that ``part`` has by now."""
        for name, weight in part.named_parameters():
            found = self.weights[name].grad
            if found is not None:
                weight.grad = found if weight.grad is None else weight.grad + found
                self.weights[name].grad = None


def stashed(part: nn.Module, step: int, weights: Mapping[str, Tensor] | None = None) -> Stash:
    """For a forward pass of ``step`` that is still to be made: the weights of ``part`` now, or former ``weights``."""
    copies = {}
    for name, weight in part.named_parameters():
        copy = laid_out((weights or {}).get(name, weight), weight)
        copies[name] = copy.requires_grad_(weight.requires_grad)
    return Stash(step, copies, {name: buffer.clone() for name, buffer in part.named_buffers()})
