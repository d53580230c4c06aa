"""MobileNetV2 for small images (Sandler et al., CVPR 2018): 17 inverted residuals, halved three times, not five."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from cutlayer.blocks.normalization import standard
from cutlayer.blocks.size import image_size

CUTS = (0, 5, 9, 13)
"""SLADV's cuts 1 to 4: behind the first convolution with its normalization (before the ReLU), and blocks 4, 8, 12."""
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, width, blocks, stride of the first of them."""


def build(input_shape: tuple[int, ...] = (3, 32, 32), classes: int = 10) -> nn.Sequential:
    """Images of at least 16x16 pixels, in any number of channels; a smaller one is a ``ValueError``.

    Of three channels and ten classes 2,296,922 parameters, as in the form usual for CIFAR-10: that is 60,240 more than
    ImageNet's, whose first block has no expansion and whose sums never pass a convolution; ReLU takes ReLU6's place.
    The first block normalizes inputs; the last one is a single linear layer.
    """
    channels, _, _ = image_size(input_shape, least=16)
    stem = nn.Sequential(standard(channels), nn.Conv2d(channels, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32))
    blocks = OrderedDict[str, nn.Module](stem=stem, relu=nn.ReLU())
    before = 32
    for expansion, width, count, stride in _STAGES:
        for number in range(count):
            blocks[f"block{len(blocks) - 1}"] = Inverted(before, width, expansion, stride if number == 0 else 1)
            before = width
    blocks["head"] = nn.Sequential(nn.Conv2d(before, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU())
    blocks["pool"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    blocks["fc"] = nn.Linear(1280, classes)
    return nn.Sequential(blocks)


class Inverted(nn.Module):
    """Widened by a 1x1 convolution, convolved channel by channel, narrowed; added to the input where the size stays."""

    def __init__(self, channels: int, width: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = expansion * channels
        self.main = nn.Sequential(
            nn.Conv2d(channels, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.Conv2d(wide, wide, 3, stride, padding=1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.Conv2d(wide, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.around: nn.Module | None = None
        if stride == 1:
            widened = nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))
            self.around = nn.Identity() if channels == width else widened

    def forward(self, inputs: Tensor) -> Tensor:
        """[n, width, height / stride, width in pixels / stride], rounded up."""
        outputs: Tensor = self.main(inputs)
        return outputs if self.around is None else outputs + self.around(inputs)
