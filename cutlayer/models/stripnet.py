"""StripNet of Tajalli, Ersoy, Picek (2023): six convolutions with ELU and batch normalization, dropout of channels."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from cutlayer.blocks.size import image_size

CUTS = (1, 2, 4)
"""Cuts 1 to 3 of the paper: after the first ELU, the first normalization, the second ELU."""


def build(input_shape: tuple[int, ...] = (1, 28, 28), classes: int = 10) -> nn.Sequential:
    """Images of at least 8x8 pixels, in any number of channels; a smaller one is a ``ValueError``.

    The paper's Table 2 prints a 1 behind each kernel size, which torch would read as the stride, and no padding, with
    which the last pooling has nothing left of 28x28 or 32x32 pixels. The authors' code pads by 1, as is done here. The
    table's ``Conv_block`` is, in the code, a convolution with bias, ELU, normalization. The table leaves out the
    flattening and the size of the linear layer: 1,152 features at 28x28 and 2,048 at 32x32.
    """
    channels, height, width = image_size(input_shape, least=8)
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            conv1=nn.Conv2d(channels, 32, 3, padding=1),
            elu1=nn.ELU(),
            bn1=nn.BatchNorm2d(32),
            conv2=nn.Conv2d(32, 32, 3, padding=1),
            elu2=nn.ELU(),
            bn2=nn.BatchNorm2d(32),
            pool1=nn.MaxPool2d(2),
            drop1=nn.Dropout2d(0.2),
            conv3=nn.Conv2d(32, 64, 3, padding=1),
            elu3=nn.ELU(),
            bn3=nn.BatchNorm2d(64),
            conv4=nn.Conv2d(64, 64, 3, padding=1),
            elu4=nn.ELU(),
            bn4=nn.BatchNorm2d(64),
            pool2=nn.MaxPool2d(2),
            drop2=nn.Dropout2d(0.3),
            conv5=nn.Conv2d(64, 128, 3, padding=1),
            elu5=nn.ELU(),
            bn5=nn.BatchNorm2d(128),
            conv6=nn.Conv2d(128, 128, 3, padding=1),
            elu6=nn.ELU(),
            bn6=nn.BatchNorm2d(128),
            pool3=nn.MaxPool2d(2),
            drop3=nn.Dropout2d(0.4),
            fc=nn.Sequential(nn.Flatten(), nn.Linear(128 * (height // 8) * (width // 8), classes)),
        )
    )
