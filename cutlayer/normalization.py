"""Inputs shifted and divided by constants inside a network, so that outside of it they stay in [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn


@final
class Normalization(nn.Module):
    """(inputs - mean) / std, channel by channel, on [n, channels, height, width]; nothing in it is learned or saved."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values).view(-1, 1, 1), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """In the shape of the inputs."""
        return (inputs - self.mean) / self.std
