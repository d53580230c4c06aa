"""ResNet9 of Tajalli, Ersoy, Picek (2023), as its Table 2 prints it: two blocks, one residual, a linear layer."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from cutlayer.blocks.residual import beginning
from cutlayer.blocks.size import image_size

CUTS = (0, 1, 2)
"""Cuts 1 to 3 of the paper: after the first block, the second one, the residual."""


def build(input_shape: tuple[int, ...] = (3, 32, 32), classes: int = 10) -> nn.Sequential:
    """Images of at least 8x8 pixels, in any number of channels; a smaller one is a ``ValueError``.

    The client is that of ``resnet9``, the network of the authors' code; the middle of the server is missing. The table
    prints 2,048 features, which 32x32 pixels give (128 x 4 x 4). At 28x28 they are 1,152: the printed number cannot
    hold for both sizes. The flattening, which the table leaves out, stands before the linear layer.
    """
    channels, height, width = image_size(input_shape, least=8)
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            **beginning(channels),
            pool=nn.MaxPool2d(4),
            fc=nn.Sequential(nn.Flatten(), nn.Linear(128 * (height // 8) * (width // 8), classes)),
        )
    )
