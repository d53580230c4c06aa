"""ResNet18 for small images: its layers counted by hand, SLADV's cuts, that its first cut lies before the ReLU."""

from __future__ import annotations

import torch

from cutlayer.model import split
from cutlayer.models import resnet18
from tests.models.networks import check_cuts, check_form, check_sizes

IMAGENET = 11_181_642  # with ten classes


def stage(into: int, out: int) -> int:
    """Four 3x3 convolutions without bias, a scale and a shift behind each; a 1x1 one around where the width changes."""
    around = into * out + 2 * out if into != out else 0
    return 9 * into * out + 3 * 9 * out * out + 4 * 2 * out + around


def test_form():
    stages = stage(64, 64) + stage(64, 128) + stage(128, 256) + stage(256, 512)
    by_hand = 9 * 3 * 64 + 2 * 64 + stages + 512 * 10 + 10
    assert by_hand == IMAGENET - (7 * 7 - 3 * 3) * 3 * 64
    check_form(resnet18, by_hand, ["stem", "stage1b", "stage2b", "stage3b"])


def test_cuts():
    check_cuts(resnet18)


def test_sizes():
    check_sizes(resnet18)


def test_the_first_cut_lies_before_the_relu():
    sent = split(resnet18.build(), [resnet18.CUTS[0]])[0](torch.rand(4, 3, 32, 32))
    assert (sent < 0).float().mean() > 0.2
