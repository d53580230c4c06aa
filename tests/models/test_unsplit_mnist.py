"""UnSplit's MNIST network: its layers counted by hand, and every cut of the paper."""

from __future__ import annotations

import pytest
import torch

from cutlayer.model import join, parameter_count, split
from cutlayer.models.unsplit_mnist import CUTS, build

# Weights and biases of two 5x5 convolutions and three linear layers.
BY_HAND = (25 * 8 + 8) + (25 * 8 * 16 + 16) + (256 * 120 + 120) + (120 * 84 + 84) + (84 * 10 + 10)
CLIENT = {1: (208, (8, 24, 24)), 2: (208, (8, 12, 12)), 3: (3424, (16, 8, 8)), 4: (3424, (16, 8, 8)),
          5: (3424, (16, 4, 4)), 6: (34264, (120,))}  # fmt: skip


def test_parameters():
    assert parameter_count(build()) == BY_HAND == 45_278


def test_the_paper_s_depths_are_the_cuts():
    assert CUTS == (1, 2, 3, 4, 5, 6)


@pytest.mark.parametrize("cut", CUTS)
def test_every_cut(cut):
    model, inputs = build(), torch.rand(2, 1, 28, 28)
    client, server = split(model, [cut])
    count, shape = CLIENT[cut]
    assert parameter_count(client) == count
    assert parameter_count(server) == BY_HAND - count
    assert client(inputs).shape == (2, *shape)
    assert torch.equal(server(client(inputs)), model(inputs))
    assert torch.equal(join([client, server])(inputs), model(inputs))


@pytest.mark.parametrize(("shape", "classes"), [((1, 28, 28), 10), ((3, 32, 32), 7), ((1, 16, 20), 2)])
def test_any_image_shape_and_number_of_classes(shape, classes):
    assert build(shape, classes)(torch.rand(3, *shape)).shape == (3, classes)
