"""UnSplit's CIFAR-10 network: its layers counted by hand, and every cut of the paper."""

from __future__ import annotations

import pytest
import torch

from cutlayer.model import parameter_count, split
from cutlayer.models.unsplit_cifar import CUTS, build

# Weights and biases of six 3x3 convolutions and two linear layers.
CONVOLUTIONS = [
    (9 * into + 1) * out for into, out in [(3, 64), (64, 64), (64, 128), (128, 128), (128, 128), (128, 128)]
]
BY_HAND = sum(CONVOLUTIONS) + (2048 * 512 + 512) + (512 * 10 + 10)
# By depth: convolutions at the client, and the shape of what it sends.
CLIENT = {1: (1, (64, 32, 32)), 2: (2, (64, 32, 32)), 3: (2, (64, 32, 32)), 4: (2, (64, 16, 16)),
          5: (3, (128, 16, 16)), 6: (3, (128, 16, 16)), 7: (4, (128, 16, 16)), 8: (4, (128, 16, 16))}  # fmt: skip


def test_parameters():
    assert parameter_count(build()) == BY_HAND == 1_609_546


def test_the_paper_s_depths_are_the_cuts():
    assert CUTS == (1, 2, 3, 4, 5, 6, 7, 8)


@pytest.mark.parametrize("cut", CUTS)
def test_every_cut(cut):
    model, inputs = build(), torch.rand(2, 3, 32, 32)
    client, server = split(model, [cut])
    convolutions, shape = CLIENT[cut]
    assert parameter_count(client) == sum(CONVOLUTIONS[:convolutions])
    assert client(inputs).shape == (2, *shape)
    assert torch.equal(server(client(inputs)), model(inputs))


@pytest.mark.parametrize(("shape", "classes"), [((3, 32, 32), 100), ((1, 28, 28), 10), ((3, 64, 64), 2)])
def test_any_image_shape_and_number_of_classes(shape, classes):
    assert build(shape, classes)(torch.rand(2, *shape)).shape == (2, classes)
