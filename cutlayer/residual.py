"""What ResNet9 is built of, as Tajalli, Ersoy, Picek (2023) use it: a block, and two blocks around an identity."""

from __future__ import annotations

from collections import OrderedDict
from typing import final

from torch import Tensor, nn


def block(channels: int, width: int, pool: bool = False) -> nn.Sequential:
    """A 3x3 convolution that keeps the size, batch normalization, ReLU; with ``pool`` the size is then halved.

    The convolution has a bias, which the normalization takes away again: so it is published.
    """
    pooling = [nn.MaxPool2d(2)] if pool else []
    return nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), *pooling)


@final
class Residual(nn.Module):
    """Two blocks of ``width`` channels, added to their input; there is no activation behind the sum."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = block(width, width)
        self.second = block(width, width)

    def forward(self, inputs: Tensor) -> Tensor:
        """In the shape of the inputs, [n, width, height, width in pixels]."""
        outputs: Tensor = self.second(self.first(inputs)) + inputs
        return outputs


def beginning(channels: int) -> OrderedDict[str, nn.Module]:
    """The blocks up to the paper's last cut: 64 and 128 channels, half the size, a residual."""
    return OrderedDict[str, nn.Module](
        block1=block(channels, 64),
        block2=block(64, 128, pool=True),
        res1=Residual(128),
    )
