"""DenseNet-BC for small images (Huang et al., CVPR 2017): growth 12, four dense blocks of 6, 12, 24 and 16 layers."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from cutlayer.blocks.normalization import standard
from cutlayer.blocks.size import image_size

CUTS = (0, 2, 4, 6)
"""SLADV's cuts 1 to 4: behind the first convolution, and behind transitions 1, 2 and 3."""
GROWTH, LAYERS = 12, (6, 12, 24, 16)


def build(input_shape: tuple[int, ...] = (3, 32, 32), classes: int = 10) -> nn.Sequential:
    """Images of at least 16x16 pixels, in any number of channels; a smaller one is a ``ValueError``.

    Of three channels and ten classes 1,000,618 parameters. DenseNet-121 for ImageNet has as many layers in its blocks
    and 6,964,106 parameters, as each adds 32 channels instead of 12, behind a 7x7 stem of 64 instead of a 3x3 one of
    24 channels. The first block normalizes inputs; the last one is a single linear layer.
    """
    channels, _, _ = image_size(input_shape, least=16)
    width = 2 * GROWTH
    stem = nn.Sequential(standard(channels), nn.Conv2d(channels, width, 3, padding=1, bias=False))
    blocks = OrderedDict[str, nn.Module](stem=stem)
    for number, count in enumerate(LAYERS, start=1):
        blocks[f"dense{number}"] = nn.Sequential(*(Dense(width + GROWTH * place) for place in range(count)))
        width += GROWTH * count
        if number < len(LAYERS):
            blocks[f"transition{number}"] = nn.Sequential(
                nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width // 2, 1, bias=False), nn.AvgPool2d(2)
            )
            width //= 2
    blocks["pool"] = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    blocks["fc"] = nn.Linear(width, classes)
    return nn.Sequential(blocks)


class Dense(nn.Module):
    """``GROWTH`` new channels from all those before, by way of a bottleneck of four times as many; they come first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.grown = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, 4 * GROWTH, 1, bias=False),
            nn.BatchNorm2d(4 * GROWTH),
            nn.ReLU(),
            nn.Conv2d(4 * GROWTH, GROWTH, 3, padding=1, bias=False),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """[n, channels + GROWTH, height, width]."""
        return torch.cat([self.grown(inputs), inputs], 1)
