"""Inputs shifted and divided by constants inside a network, so that outside of it they stay in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
"""Of CIFAR-10's training images by channel, as networks for it are usually given them."""


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


def standard(channels: int) -> Normalization:
    """CIFAR-10's for three channels; for any other number [0, 1] becomes [-1, 1]."""
    if channels == len(CIFAR_MEAN):
        return Normalization(CIFAR_MEAN, CIFAR_STD)
    return Normalization([0.5] * channels, [0.5] * channels)


def deviations(model: nn.Module) -> tuple[float, ...] | None:
    """What ``model`` divides its inputs by, channel by channel; ``None`` where it takes them as they are."""
    found = [module.std.flatten().tolist() for module in model.modules() if isinstance(module, Normalization)]
    if not found:
        return None
    # One may be the experiment's own, before the network's.
    channels = max(map(len, found))
    return tuple(math.prod(own[channel % len(own)] for own in found) for channel in range(channels))
