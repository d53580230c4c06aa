"""The MNIST victim of He, Zhang, Lee (ACSAC 2019): UnSplit's network for MNIST, on normalized inputs."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from cutlayer.blocks.normalization import Normalization

CUTS = (0, 4)
"""The paper's split points, conv1 and ReLU2: the client holds blocks 0 to k."""


def build(input_shape: tuple[int, ...] = (1, 28, 28), classes: int = 10) -> nn.Sequential:
    """Blocks numbered as in UnSplit's tables; inputs in [0, 1] are normalized to [-1, 1] in the first one."""
    channels, height, width = input_shape
    features = 16 * _after(height) * _after(width)
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            conv1=nn.Sequential(Normalization([0.5] * channels, [0.5] * channels), nn.Conv2d(channels, 8, 5)),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(8, 16, 5),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            fc1=nn.Sequential(nn.Flatten(), nn.Linear(features, 120)),
            relu3=nn.ReLU(),
            fc2=nn.Linear(120, 84),
            relu4=nn.ReLU(),
            fc3=nn.Linear(84, classes),
        )
    )


def _after(side: int) -> int:
    return ((side - 4) // 2 - 4) // 2
