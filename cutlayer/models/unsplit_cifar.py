"""UnSplit's network for CIFAR-10: six convolutions, two linear layers."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

CUTS = (1, 2, 3, 4, 5, 6, 7, 8)
"""Split depths 1 to 8 of the paper: the client holds blocks 0 to k."""


def build(input_shape: tuple[int, ...] = (3, 32, 32), classes: int = 10) -> nn.Sequential:
    """Blocks numbered as in the paper's tables; the flattening belongs to the linear layer behind it."""
    channels, height, width = input_shape
    features = 128 * (height // 8) * (width // 8)
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            conv1=nn.Conv2d(channels, 64, 3, padding=1),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(64, 64, 3, padding=1),
            relu2=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv3=nn.Conv2d(64, 128, 3, padding=1),
            relu3=nn.ReLU(),
            conv4=nn.Conv2d(128, 128, 3, padding=1),
            relu4=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            conv5=nn.Conv2d(128, 128, 3, padding=1),
            relu5=nn.ReLU(),
            conv6=nn.Conv2d(128, 128, 3, padding=1),
            relu6=nn.ReLU(),
            pool3=nn.MaxPool2d(2),
            fc1=nn.Sequential(nn.Flatten(), nn.Linear(features, 512)),
            sigmoid=nn.Sigmoid(),
            fc2=nn.Linear(512, classes),
        )
    )
