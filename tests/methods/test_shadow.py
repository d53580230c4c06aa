"""Shadows: those that the authors' code lists for each network and cut, those of the rules, what has none."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import relu

from cutlayer.blocks.normalization import Normalization
from cutlayer.blocks.residual import Basic
from cutlayer.methods.shadow import Form, TwoConv, shadow
from cutlayer.model import parameter_count
from tests.models.networks import SENT

IMAGE = (3, 32, 32)
SINGLE = {
    "resnet18": [(64, 3, 1, 1), (64, 3, 1, 1), (128, 3, 2, 1), (256, 9, 3, 0)],
    "mobilenet_v2": [(32, 3, 1, 1), (32, 3, 2, 1), (64, 3, 4, 1), (96, 9, 3, 0)],
    "densenet": [(24, 3, 1, 1), (48, 3, 2, 1), (96, 9, 3, 0), (192, 9, 6, 0)],
    "efficientnet_b0": [(32, 3, 1, 1), (24, 3, 2, 1), (80, 9, 6, 0), (112, 9, 6, 0)],
}
"""Width, kernel, stride, padding at cuts 1 to 4."""


@pytest.mark.parametrize("name", SINGLE)
def test_a_single_convolution_as_listed_for_every_cut(name: str) -> None:
    for sent, listed in zip(SENT[name][:-1], SINGLE[name], strict=True):
        for form in ("single", "two_conv"):
            assert shadow(form, IMAGE, sent)(torch.rand(2, *IMAGE)).shape == (2, *sent)
        normalization, layer = shadow("single", IMAGE, sent)
        assert isinstance(normalization, Normalization)
        assert isinstance(layer, nn.Conv2d)
        assert layer.bias is None
        width, kernel, stride, padding = listed
        assert (layer.out_channels, layer.kernel_size) == (width, (kernel, kernel))
        assert (layer.stride, layer.padding) == ((stride, stride), (padding, padding))


@pytest.mark.parametrize(("smashed", "kernel", "stride"), [((5, 9, 7), (3, 3), (3, 4)), ((5, 10, 11), (5, 2), (2, 2))])
def test_other_sizes_have_a_rule(smashed: tuple[int, ...], kernel: tuple[int, int], stride: tuple[int, int]) -> None:
    made = shadow("single", (1, 25, 25) if smashed[1] == 9 else (1, 23, 22), smashed)
    assert made(torch.rand(1, 1, *((25, 25) if smashed[1] == 9 else (23, 22)))).shape == (1, *smashed)
    assert isinstance(made[1], nn.Conv2d)
    assert (made[1].kernel_size, made[1].stride) == (kernel, stride)


def test_two_convolutions_and_a_skip() -> None:
    made = shadow("two_conv", IMAGE, (8, 16, 16))
    assert parameter_count(made) == (27 * 8 + 8) + (72 * 8 + 8)
    layer, inputs = made[1], torch.rand(2, *IMAGE)
    assert isinstance(layer, TwoConv)
    value = layer.first(made[0](inputs))
    torch.testing.assert_close(made(inputs), value + layer.second(relu(value)))


@pytest.mark.parametrize(
    ("smashed", "blocks", "plan"),
    [
        ((64, 32, 32), "", [(3, 64, 1)]),
        ((32, 16, 16), "", [(3, 16, 1), (16, 32, 2)]),
        ((64, 8, 8), "", [(3, 16, 1), (16, 32, 2), (32, 64, 2)]),
        ((192, 4, 4), "", [(3, 24, 1), (24, 48, 2), (48, 96, 2), (96, 192, 2)]),
        ((256, 8, 8), "32-64-128@2-256@2", [(3, 32, 1), (32, 64, 1), (64, 128, 2), (128, 256, 2)]),
        ((64, 11, 12), "", [(3, 32, 1), (32, 64, 2)]),
        ((80, 4, 4), "32@2-24@2-80@2", [(3, 32, 2), (32, 24, 2), (24, 80, 2)]),
    ],
)
def test_several_blocks(smashed: tuple[int, ...], blocks: str, plan: list[tuple[int, int, int]]) -> None:
    made = shadow("multi", IMAGE, smashed, blocks)
    assert made(torch.rand(2, *IMAGE)).shape == (2, *smashed)
    found = [layer for layer in made if isinstance(layer, Basic)]
    told = [(b.first[0].in_channels, b.first[0].out_channels, b.first[0].stride[0]) for b in found]  # type: ignore[union-attr]
    assert told == plan


@pytest.mark.parametrize(
    ("form", "inputs", "smashed", "blocks", "said"),
    [
        ("single", IMAGE, (512,), "", r"not from \[3, 32, 32\] to \[512\]: choose an earlier cut"),
        ("two_conv", (30,), (8,), "", r"from images to images, not from \[30\] to \[8\]: there is none for tables"),
        ("two_conv", (3, 8, 8), (4, 16, 8), "", "never enlarges an image"),
        (
            "multi",
            IMAGE,
            (64, 16, 16),
            "64",
            r"blocks = '64': they end in shape \[64, 32, 32\], what is sent has shape \[64, 16",
        ),
        ("multi", IMAGE, (64, 16, 16), "32@2", r"blocks = '32@2': they end in shape \[32, 16, 16\]"),
        ("multi", IMAGE, (64, 16, 16), "32-x", "'x' is no block"),
        ("multi", IMAGE, (64, 16, 16), "32-64@", "'64@' is no block"),
        ("multi", IMAGE, (64, 16, 16), "32-64@0", "'64@0' is no block"),
    ],
)
def test_what_no_shadow_gives(form: Form, inputs: Any, smashed: Any, blocks: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        shadow(form, inputs, smashed, blocks)
