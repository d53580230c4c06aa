"""How a party trains its parts: optimizer and learning rate, as a value both parties agreed on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn
from torch.optim import Optimizer


@dataclass(frozen=True)
class Optimization:
    """Every party trains by the same one."""

    optimizer: str = "adam"
    learning_rate: float = 1e-3
    amsgrad: bool = True
    """Adam only; UnSplit's victims use it."""
    epsilon: float = 1e-8
    """Adam only: what is added to the root of its second moment."""
    momentum: float = 0.0
    """SGD only."""
    weight_decay: float = 0.0
    milestones: tuple[int, ...] = ()
    """Training steps after which the learning rate is multiplied by ``decay``."""
    decay: float = 0.1

    def rate(self, step: int) -> float:
        """The learning rate of training step ``step``, counted from 0."""
        return self.learning_rate * self.decay ** sum(step >= milestone for milestone in self.milestones)

    def make(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        """A fresh optimizer of ``parameters``, which may be none (a part can be all activation)."""
        kept = list(parameters) or [nn.Parameter(torch.zeros(0))]
        if self.optimizer == "sgd":
            return torch.optim.SGD(
                kept, self.learning_rate, self.momentum, weight_decay=self.weight_decay, fused=bool(kept[0].numel())
            )
        return torch.optim.Adam(
            kept,
            self.learning_rate,
            eps=self.epsilon,
            weight_decay=self.weight_decay,
            amsgrad=self.amsgrad,
            fused=bool(kept[0].numel()),
        )
