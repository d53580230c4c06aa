"""A dense network for tables of numbers: three hidden layers."""

from __future__ import annotations

from collections import OrderedDict
from math import prod

from torch import nn

CUTS = (1, 3, 5)
"""After each hidden layer."""


def build(input_shape: tuple[int, ...] = (30,), classes: int = 2) -> nn.Sequential:
    """Hidden layers of 64, 32 and 16 units; inputs of any shape are flattened by the first block."""
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            fc1=nn.Sequential(nn.Flatten(), nn.Linear(prod(input_shape), 64)),
            relu1=nn.ReLU(),
            fc2=nn.Linear(64, 32),
            relu2=nn.ReLU(),
            fc3=nn.Linear(32, 16),
            relu3=nn.ReLU(),
            fc4=nn.Linear(16, classes),
        )
    )
