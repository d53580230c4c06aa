"""ResNet9 of Tajalli, Ersoy, Picek (2023), as in the authors' code: four blocks, two residuals, up to 512 channels."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from cutlayer.blocks.residual import Residual, beginning, block
from cutlayer.blocks.size import image_size

CUTS = (0, 1, 2)
"""Cuts 1 to 3 of the paper: after the first block, the second one, the first residual."""


def build(input_shape: tuple[int, ...] = (1, 28, 28), classes: int = 10) -> nn.Sequential:
    """Images of at least 16x16 pixels, in any number of channels; a smaller one is a ``ValueError``.

    The paper's Table 2 ends behind the first residual with a pooling and a linear layer (``resnet9_printed``); the
    authors' code goes on with blocks of 256 and 512 channels and a second residual, which make it nine layers, and
    pools last by 2 with stride 1 at 28x28 (2,048 features) and by 4 at 32x32 (512). The code chooses between the two
    by the number of channels; here the size does, so that color images of 28x28 and grey ones of 32x32 work too.
    """
    channels, height, width = image_size(input_shape, least=16)
    height, width = height // 8, width // 8
    if min(height, width) >= 4:
        pool, features = nn.MaxPool2d(4), 512 * (height // 4) * (width // 4)
    else:
        pool, features = nn.MaxPool2d(2, stride=1), 512 * (height - 1) * (width - 1)
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            **beginning(channels),
            block3=block(128, 256, pool=True),
            block4=block(256, 512, pool=True),
            res2=Residual(512),
            pool=pool,
            fc=nn.Sequential(nn.Flatten(), nn.Linear(features, classes)),
        )
    )
