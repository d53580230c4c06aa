"""EfficientNet-B0 for small images: its layers counted by hand, SLADV's cuts, what is dropped in training."""

from __future__ import annotations

import torch

from cutlayer.models import efficientnet_b0
from tests.models.networks import check_cuts, check_form, check_sizes

IMAGENET = 4_020_358  # with ten classes
STAGES = (
    *((1, 16, 1, 3), (6, 24, 2, 3), (6, 40, 2, 5), (6, 80, 3, 3)),
    *((6, 112, 3, 5), (6, 192, 4, 5), (6, 320, 1, 3)),
)


def block(into: int, out: int, expansion: int, kernel: int) -> int:
    """1x1 where it is widened, by channel, squeeze and excitation with biases, 1x1; a normalization behind each."""
    wide, narrow = expansion * into, into // 4
    widen = into * wide + 2 * wide if expansion > 1 else 0
    excited = wide * narrow + narrow + narrow * wide + wide
    return widen + kernel * kernel * wide + 2 * wide + excited + wide * out + 2 * out


def test_form():
    by_hand, into = 9 * 3 * 32 + 2 * 32, 32
    for expansion, out, count, kernel in STAGES:
        for _ in range(count):
            by_hand += block(into, out, expansion, kernel)
            into = out
    by_hand += 320 * 10 + 10
    assert by_hand == IMAGENET - (320 * 1280 + 2 * 1280) - (1280 * 10 - 320 * 10)
    check_form(efficientnet_b0, by_hand, ["stem", "block3", "block6", "block9"])


def test_cuts():
    check_cuts(efficientnet_b0)


def test_sizes():
    check_sizes(efficientnet_b0)


def test_a_dropped_branch_leaves_the_input_and_the_others_make_up_for_it():
    torch.manual_seed(0)
    inputs = torch.rand(64, 8, 4, 4)
    part = efficientnet_b0.Excited(8, 8, 6, 3, 1, dropped=0.5).train()
    branch = part.narrowed(part.widened(inputs) * part.weights(part.widened(inputs)))
    added = part(inputs) - inputs
    dropped = (added == 0).flatten(1).all(1)
    assert 16 < int(dropped.sum()) < 48
    torch.testing.assert_close(added[~dropped], 2 * branch[~dropped])
    torch.testing.assert_close(
        part.eval()(inputs) - inputs, part.narrowed(part.widened(inputs) * part.weights(part.widened(inputs)))
    )
