"""ResNet18 for small images (He et al., CVPR 2016): a 3x3 stem without pooling, four stages of two blocks."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from cutlayer.normalization import standard
from cutlayer.residual import Basic
from cutlayer.size import image_size

CUTS = (0, 3, 5, 7)
"""SLADV's cuts 1 to 4: behind the first convolution with its normalization (before the ReLU), and stages 1, 2 and 3."""
_WIDTHS = (64, 128, 256, 512)


def build(input_shape: tuple[int, ...] = (3, 32, 32), classes: int = 10) -> nn.Sequential:
    """Images of at least 16x16 pixels, in any number of channels; a smaller one is a ``ValueError``.

    Of three channels and ten classes 11,173,962 parameters: 7,680 fewer than with ImageNet's 7x7 stem. The first block
    normalizes inputs; the last one is a single linear layer.
    """
    channels, _, _ = image_size(input_shape, least=16)
    stem = nn.Sequential(standard(channels), nn.Conv2d(channels, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64))
    blocks = OrderedDict[str, nn.Module](stem=stem, relu=nn.ReLU())
    before = 64
    for stage, width in enumerate(_WIDTHS, start=1):
        blocks[f"stage{stage}a"] = Basic(before, width, stride=1 if stage == 1 else 2)
        blocks[f"stage{stage}b"] = Basic(width, width)
        before = width
    blocks["pool"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    blocks["fc"] = nn.Linear(before, classes)
    return nn.Sequential(blocks)
