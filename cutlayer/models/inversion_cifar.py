"""The CIFAR-10 victim of He, Zhang, Lee (ACSAC 2019): UnSplit's network for CIFAR-10, on normalized inputs."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from cutlayer.blocks.normalization import Normalization

CUTS = (0, 8, 13)
"""The paper's split points, conv11, ReLU22 and ReLU32: the client holds blocks 0 to k."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def build(input_shape: tuple[int, ...] = (3, 32, 32), classes: int = 10) -> nn.Sequential:
    """Blocks numbered as in UnSplit's tables; inputs in [0, 1], of three channels, are normalized in the first one."""
    channels, height, width = input_shape
    if channels != len(MEAN):
        raise ValueError(f"inputs of {channels} channels: their means are known for {len(MEAN)}")
    features = 128 * (height // 8) * (width // 8)
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            conv1=nn.Sequential(Normalization(MEAN, STD), nn.Conv2d(channels, 64, 3, padding=1)),
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
