"""LeNet of Tajalli, Ersoy, Picek (2023): two convolutions, three linear layers, ReLU and maximum pooling."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from cutlayer.blocks.size import image_size

CUTS = (1, 2, 4)
"""Cuts 1 to 3 of the paper: after the first ReLU, the first pooling, the second ReLU."""


def build(input_shape: tuple[int, ...] = (1, 28, 28), classes: int = 10) -> nn.Sequential:
    """Images of at least 16x16 pixels, in any number of channels; a smaller one is a ``ValueError``.

    The paper's Table 2 and the authors' code agree: 5x5 convolutions without padding. The table leaves the size of the
    first linear layer open; it follows from the image, 256 features at 28x28 and 400 at 32x32, as in the code.
    """
    channels, height, width = image_size(input_shape, least=16)
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            conv1=nn.Conv2d(channels, 6, 5),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(6, 16, 5),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            fc1=nn.Sequential(nn.Flatten(), nn.Linear(16 * _after(height) * _after(width), 120)),
            relu3=nn.ReLU(),
            fc2=nn.Linear(120, 84),
            relu4=nn.ReLU(),
            fc3=nn.Linear(84, classes),
        )
    )


def _after(side: int) -> int:
    return ((side - 4) // 2 - 4) // 2
