"""DenseNet for small images: its layers counted by hand, SLADV's cuts, that every layer sees all before it."""

from __future__ import annotations

import torch

from cutlayer.models import densenet
from tests.models.networks import check_cuts, check_form, check_sizes

LAYERS = (6, 12, 24, 16)


def counted(growth: int, stem: int, first: int) -> int:
    """Weights of a DenseNet-BC whose first layer has ``first`` weights, of ten classes."""
    count, width = first, stem
    for number, layers in enumerate(LAYERS):
        for _ in range(layers):
            count += 2 * width + width * 4 * growth + 2 * 4 * growth + 9 * 4 * growth * growth
            width += growth
        if number < 3:
            count += 2 * width + width * (width // 2)
            width //= 2
    return count + 2 * width + width * 10 + 10


def test_form():
    # The same count for growth 32, a 7x7 stem of 64 channels and its normalization is that of DenseNet-121.
    assert counted(32, 64, 49 * 3 * 64 + 2 * 64) == 6_964_106
    check_form(densenet, counted(12, 24, 9 * 3 * 24), ["stem", "transition1", "transition2", "transition3"])


def test_cuts():
    check_cuts(densenet)


def test_sizes():
    check_sizes(densenet)


def test_new_channels_come_before_those_they_are_made_of():
    inputs, layer = torch.rand(2, 5, 4, 4), densenet.Dense(5).eval()
    outputs = layer(inputs)
    assert outputs.shape == (2, 17, 4, 4)
    assert torch.equal(outputs[:, 12:], inputs)
    assert torch.equal(outputs[:, :12], layer.grown(inputs))
