"""The networks of a feature-space hijacking: pilot and decoder, an autoencoder of images, and their discriminator.

Pasquini, Ateniese, Bernaschi: Unleashing the Tiger: Inference Attacks on Split Learning (CCS 2021), as published.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, prod

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, relu


def pilot(channels: int, smashed: int, halvings: int, width: int) -> nn.Sequential:
    """From images to features of ``smashed`` channels with sides so often halved: convolutions and nothing else."""
    widths = [channels, *(min(64 << number, width) for number in range(halvings))]
    layers = [*(_conv(into, out, 2) for into, out in pairwise(widths)), _conv(widths[-1], smashed)]
    return nn.Sequential(*layers)


def decoder(smashed: int, channels: int, halvings: int, width: int) -> nn.Sequential:
    """From features to images in [-1, 1]; linear but for the last function."""
    if halvings == 0:
        return nn.Sequential(_conv(smashed, width), _conv(width, channels), nn.Tanh())
    deep = halvings > 2
    widths = [smashed, *(max(1, width >> number) for number in range(halvings - deep))]
    layers = [_doubling(into, out) for into, out in pairwise(widths)]
    return nn.Sequential(*layers, (_doubling if deep else _conv)(widths[-1], channels), nn.Tanh())


class Discriminator(nn.Module):
    """One score for each sample's features; the pilot's are to get low ones, the client's high ones."""

    def __init__(self, shape: Sequence[int], width: int, blocks: int, stride: int) -> None:
        super().__init__()
        channels, *sides = shape
        area = prod(ceil(ceil(side / stride) / 2) for side in sides)
        self.entry = _conv(channels, width, stride)
        self.inner = nn.ModuleList(_conv(width, width) for _ in range(2 * blocks))
        self.last = _conv(width, width, 2)
        self.score = nn.Linear(width * area, 1)

    def forward(self, features: Tensor) -> Tensor:
        """[n] for [n, channels, height, width]."""
        value = self.entry(features)
        for first, second in self._blocks():
            value = value + second(relu(first(relu(value))))
        scores: Tensor = self.score(self.last(value).flatten(1))
        return scores.squeeze(1)

    def slope(self, features: Tensor) -> Tensor:
        """The gradient of each score at its features, [n, channels, height, width], differentiable in the weights.

        Written out, as the network is linear between its kinks; autograd takes a fifth longer for second derivatives.
        """
        passed = []
        with torch.no_grad():
            value = self.entry(features)
            for first, second in self._blocks():
                between = first(relu(value))
                passed.append((value > 0, between > 0))
                value = value + second(relu(between))
            shape = self.last(value).shape
        slope = _back(self.last, self.score.weight.view(1, *shape[1:]).expand(shape), value)
        for (first, second), (outer, inner) in zip(reversed(self._blocks()), reversed(passed), strict=True):
            slope = slope + outer * _back(first, inner * _back(second, slope, value), value)
        return _back(self.entry, slope, features)

    def _blocks(self) -> list[tuple[nn.Module, nn.Module]]:
        return list(zip(self.inner[::2], self.inner[1::2], strict=True))


def _back(layer: nn.Module, slope: Tensor, inputs: Tensor) -> Tensor:
    """From the gradient at a convolution's outputs to that at its ``inputs``."""
    assert isinstance(layer, nn.Conv2d)
    stride = layer.stride[0]
    rest = [side - 1 - stride * (out - 1) for side, out in zip(inputs.shape[2:], slope.shape[2:], strict=True)]
    return conv_transpose2d(slope, layer.weight, None, stride, 1, rest)


def _conv(channels: int, width: int, stride: int = 1) -> nn.Module:
    return nn.Conv2d(channels, width, 3, stride, padding=1)


def _doubling(channels: int, width: int) -> nn.Module:
    return nn.ConvTranspose2d(channels, width, 3, 2, padding=1, output_padding=1)


def draw_as_published(network: nn.Module) -> None:
    """Weights as the published code's framework draws them (Glorot), biases of 0."""
    for name, parameter in network.named_parameters():
        (nn.init.zeros_ if name.endswith("bias") else nn.init.xavier_uniform_)(parameter)
