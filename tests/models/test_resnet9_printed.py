"""ResNet9 as Table 2 prints it: its layers counted by hand at both sizes, the client that it shares with the code's."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import max_pool2d

from cutlayer.model import blocks, join, parameter_count, split
from cutlayer.models import resnet9
from cutlayer.models.resnet9_printed import CUTS, build

GREY, COLOR = (1, 28, 28), (3, 32, 32)
SHAPES = [GREY, COLOR]


def convolved(into: int, out: int) -> int:
    """Weights and biases of a 3x3 convolution, scales and shifts of the normalization behind it."""
    return 9 * into * out + out + 2 * out


FIRST = {GREY: convolved(1, 64), COLOR: convolved(3, 64)}
SECOND, RESIDUAL = convolved(64, 128), 2 * convolved(128, 128)
# 28, 14, 3 pixels; 32, 16, 4 pixels, the 2,048 features that are printed.
LAST = {GREY: 128 * 3 * 3 * 10 + 10, COLOR: 128 * 4 * 4 * 10 + 10}
BY_HAND = {shape: FIRST[shape] + SECOND + RESIDUAL + LAST[shape] for shape in SHAPES}


def test_parameters():
    assert BY_HAND == {GREY: 382_090, COLOR: 392_202}
    assert {shape: parameter_count(build(shape)) for shape in SHAPES} == BY_HAND


@pytest.mark.parametrize(("shape", "training"), [(GREY, True), (GREY, False), (COLOR, False)])
@pytest.mark.parametrize("cut", CUTS)
def test_every_cut(shape, cut, training):
    """The client is that of the code's network, and what it sends as well."""
    model, twin, inputs = build(shape).train(training), resnet9.build(shape).train(training), torch.rand(3, *shape)
    client, server = split(model, [cut])
    same, _ = split(twin, [resnet9.CUTS[cut]])
    assert blocks(client) == blocks(same)
    same.load_state_dict(client.state_dict())
    smashed = client(inputs)
    assert torch.equal(smashed, same(inputs))
    assert torch.equal(server(smashed), model(inputs))
    joined = join([client, server]).state_dict()
    assert [name for name, value in model.state_dict().items() if not torch.equal(value, joined[name])] == []


@pytest.mark.parametrize("shape", SHAPES)
def test_what_the_server_computes(shape):
    model, data = build(shape), torch.rand(2, 128, shape[1] // 2, shape[2] // 2)
    last = model.get_submodule("fc")[1]
    assert torch.equal(split(model, ["res1"])[1](data), last(max_pool2d(data, 4).flatten(1)))


@pytest.mark.parametrize(("shape", "classes"), [((1, 8, 8), 2), ((3, 28, 28), 5), ((2, 9, 40), 7)])
def test_any_size_that_leaves_something(shape, classes):
    assert build(shape, classes)(torch.rand(3, *shape)).shape == (3, classes)


def test_a_size_that_leaves_nothing():
    with pytest.raises(ValueError, match="images of 7x28 pixels are too small: both sides need at least 8"):
        build((1, 7, 28))
