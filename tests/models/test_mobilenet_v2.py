"""MobileNetV2 for small images: its layers counted by hand, SLADV's cuts, where inputs are added."""

from __future__ import annotations

import torch

from cutlayer.models import mobilenet_v2
from tests.models.networks import check_cuts, check_form, check_sizes

IMAGENET = 2_236_682  # with ten classes
STAGES = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def block(into: int, out: int, expansion: int, around: bool) -> int:
    """Convolutions without bias: 1x1, 3x3 by channel, 1x1; a scale and a shift behind each."""
    wide = expansion * into
    return into * wide + 9 * wide + wide * out + 2 * (2 * wide + out) + (into * out + 2 * out if around else 0)


def test_form():
    by_hand, into = 9 * 3 * 32 + 2 * 32, 32
    for expansion, out, count, stride in STAGES:
        for number in range(count):
            by_hand += block(into, out, expansion, around=number == 0 and stride == 1 and into != out)
            into = out
    by_hand += 320 * 1280 + 2 * 1280 + 1280 * 10 + 10
    # A widening of the first block, and 1x1 convolutions around four blocks, each with its normalization.
    more = (32 * 32 + 64) + sum(a * b + 2 * b for a, b in ((32, 16), (16, 24), (64, 96), (160, 320)))
    assert by_hand == IMAGENET + more
    check_form(mobilenet_v2, by_hand, ["stem", "block4", "block8", "block12"])


def test_cuts():
    check_cuts(mobilenet_v2)


def test_sizes():
    check_sizes(mobilenet_v2)


def test_an_input_is_added_where_the_size_stays():
    inputs = torch.rand(2, 4, 6, 6)
    kept, halved = (mobilenet_v2.Inverted(4, 4, 6, stride).eval() for stride in (1, 2))
    torch.testing.assert_close(kept(inputs) - inputs, kept.main(inputs))
    assert torch.equal(halved(inputs), halved.main(inputs))
