"""LeNet: its layers counted by hand at both sizes, what they compute, every cut of the paper."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv2d, linear, max_pool2d, relu

from cutlayer.model import blocks, join, parameter_count, split
from cutlayer.models.lenet import CUTS, build

GREY, COLOR = (1, 28, 28), (3, 32, 32)
SHAPES = [GREY, COLOR]
# Weights and biases of two 5x5 convolutions and three linear layers; 28 - 4 = 24, 12, 8, 4 and 32 - 4 = 28, 14, 10, 5.
FIRST = {GREY: 25 * 1 * 6 + 6, COLOR: 25 * 3 * 6 + 6}
SECOND = 25 * 6 * 16 + 16
DENSE = {GREY: 16 * 4 * 4 * 120 + 120, COLOR: 16 * 5 * 5 * 120 + 120}
BY_HAND = {shape: FIRST[shape] + SECOND + DENSE[shape] + (120 * 84 + 84) + (84 * 10 + 10) for shape in SHAPES}
SENT = {GREY: [(6, 24, 24), (6, 12, 12), (16, 8, 8)], COLOR: [(6, 28, 28), (6, 14, 14), (16, 10, 10)]}


def test_parameters():
    assert BY_HAND == {GREY: 44_426, COLOR: 62_006}
    assert {shape: parameter_count(build(shape)) for shape in SHAPES} == BY_HAND


def test_the_paper_s_cuts():
    assert [blocks(build())[cut] for cut in CUTS] == ["relu1", "pool1", "relu2"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_cut(shape, number):
    model, inputs = build(shape), torch.rand(2, *shape)
    client, server = split(model, [CUTS[number - 1]])
    count = FIRST[shape] + (SECOND if number == 3 else 0)
    assert parameter_count(client) == count
    assert parameter_count(server) == BY_HAND[shape] - count
    assert client(inputs).shape == (2, *SENT[shape][number - 1])
    assert torch.equal(server(client(inputs)), model(inputs))
    assert torch.equal(join([client, server])(inputs), model(inputs))


@pytest.mark.parametrize("shape", SHAPES)
def test_what_it_computes(shape):
    model, inputs = build(shape), torch.rand(2, *shape)
    w = model.state_dict()
    data = max_pool2d(relu(conv2d(inputs, w["conv1.weight"], w["conv1.bias"])), 2)
    data = max_pool2d(relu(conv2d(data, w["conv2.weight"], w["conv2.bias"])), 2)
    data = relu(linear(data.flatten(1), w["fc1.1.weight"], w["fc1.1.bias"]))
    data = relu(linear(data, w["fc2.weight"], w["fc2.bias"]))
    assert torch.equal(model(inputs), linear(data, w["fc3.weight"], w["fc3.bias"]))


@pytest.mark.parametrize(("shape", "classes"), [((1, 16, 16), 2), ((3, 28, 28), 5), ((2, 17, 40), 7)])
def test_any_size_that_leaves_something(shape, classes):
    assert build(shape, classes)(torch.rand(3, *shape)).shape == (3, classes)


def test_a_size_that_leaves_nothing():
    with pytest.raises(ValueError, match="images of 28x15 pixels are too small: both sides need at least 16"):
        build((1, 28, 15))
