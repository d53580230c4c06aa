"""A small network with everything that makes splitting hard: batch normalization, dropout, in-place activations."""

from collections import OrderedDict

from torch import nn

CUTS = (1, 3)


def build(input_shape: tuple[int, ...] = (1, 8, 8), classes: int = 4) -> nn.Sequential:
    side = input_shape[1] - 2
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(input_shape[0], 3, 3),
            norm=nn.BatchNorm2d(3),
            relu=nn.ReLU(inplace=True),
            drop=nn.Dropout(0.3),
            middle=nn.Sequential(nn.Flatten(), nn.Linear(3 * side * side, 12), nn.BatchNorm1d(12)),
            relu2=nn.ReLU(inplace=True),
            drop2=nn.Dropout(0.3),
            out=nn.Linear(12, classes),
        )
    )
