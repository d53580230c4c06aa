"""EfficientNet-B0 for small images (Tan and Le, ICML 2019): 16 inverted residuals with squeeze and excitation."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from cutlayer.blocks.normalization import standard
from cutlayer.blocks.size import image_size

CUTS = (0, 4, 7, 10)
"""SLADV's cuts 1 to 4: behind the first convolution with its normalization (before the activation), and blocks 3, 6, 9.
"""
_STAGES = (
    *((1, 16, 1, 3, 1), (6, 24, 2, 3, 2), (6, 40, 2, 5, 2), (6, 80, 3, 3, 2)),
    *((6, 112, 3, 5, 1), (6, 192, 4, 5, 2), (6, 320, 1, 3, 1)),
)
"""Expansion, width, blocks, kernel, stride of the first of them."""
_DROPPED = 0.2  # of the features, and of whole blocks in the last stage, as published


def build(input_shape: tuple[int, ...] = (3, 32, 32), classes: int = 10) -> nn.Sequential:
    """Images of at least 16x16 pixels, in any number of channels; a smaller one is a ``ValueError``.

    Of three channels and ten classes 3,598,598 parameters, in the form usual for CIFAR-10: 421,760 fewer than
    ImageNet's, which widens 320 channels to 1,280 before the linear layer. The stem does not halve the size. The first
    block normalizes inputs; the last one is a single linear layer.
    """
    channels, _, _ = image_size(input_shape, least=16)
    stem = nn.Sequential(standard(channels), nn.Conv2d(channels, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32))
    blocks = OrderedDict[str, nn.Module](stem=stem, silu=nn.SiLU())
    before, done, total = 32, 0, sum(stage[2] for stage in _STAGES)
    for expansion, width, count, kernel, stride in _STAGES:
        for number in range(count):
            first = stride if number == 0 else 1
            blocks[f"block{done + 1}"] = Excited(before, width, expansion, kernel, first, _DROPPED * done / total)
            before, done = width, done + 1
    blocks["pool"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(_DROPPED))
    blocks["fc"] = nn.Linear(before, classes)
    return nn.Sequential(blocks)


class Excited(nn.Module):
    """An inverted residual whose widened channels are weighted by what all of them hold together."""

    def __init__(self, channels: int, width: int, expansion: int, kernel: int, stride: int, dropped: float) -> None:
        super().__init__()
        wide = expansion * channels
        widen = [nn.Conv2d(channels, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.SiLU()] if expansion > 1 else []
        self.widened = nn.Sequential(
            *widen,
            nn.Conv2d(wide, wide, kernel, stride, padding=kernel // 2, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.SiLU(),
        )
        self.weights = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(wide, channels // 4, 1),
            nn.SiLU(),
            nn.Conv2d(channels // 4, wide, 1),
            nn.Sigmoid(),
        )
        self.narrowed = nn.Sequential(nn.Conv2d(wide, width, 1, bias=False), nn.BatchNorm2d(width))
        self.added = stride == 1 and channels == width
        self.dropped = dropped

    def forward(self, inputs: Tensor) -> Tensor:
        """[n, width, height / stride, width in pixels / stride], rounded up."""
        value = self.widened(inputs)
        outputs: Tensor = self.narrowed(value * self.weights(value))
        if not self.added:
            return outputs
        if self.training and self.dropped > 0:
            # Stochastic depth: a sample's whole branch, the others made up for it.
            kept = torch.rand(len(outputs), 1, 1, 1, device=outputs.device) >= self.dropped
            outputs = outputs * kept / (1 - self.dropped)
        return outputs + inputs
