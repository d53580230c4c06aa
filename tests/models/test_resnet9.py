"""ResNet9 as in the authors' code: its layers counted by hand at both sizes, its order, every cut of the paper."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import max_pool2d

from cutlayer.model import blocks, join, parameter_count, split
from cutlayer.models.resnet9 import CUTS, build

GREY, COLOR = (1, 28, 28), (3, 32, 32)
SHAPES = [GREY, COLOR]


def convolved(into: int, out: int) -> int:
    """Weights and biases of a 3x3 convolution, scales and shifts of the normalization behind it."""
    return 9 * into * out + out + 2 * out


FIRST = {GREY: convolved(1, 64), COLOR: convolved(3, 64)}
SECOND, RESIDUAL = convolved(64, 128), 2 * convolved(128, 128)
DEEPER = convolved(128, 256) + convolved(256, 512) + 2 * convolved(512, 512)
# 28, 14, 7, 3 pixels, then 2 with stride 1; 32, 16, 8, 4 pixels, then 1.
LAST = {GREY: 512 * 2 * 2 * 10 + 10, COLOR: 512 * 1 * 1 * 10 + 10}
BY_HAND = {shape: FIRST[shape] + SECOND + RESIDUAL + DEEPER + LAST[shape] for shape in SHAPES}
CLIENT = {shape: [FIRST[shape], FIRST[shape] + SECOND, FIRST[shape] + SECOND + RESIDUAL] for shape in SHAPES}
SENT = {GREY: [(64, 28, 28), (128, 14, 14), (128, 14, 14)], COLOR: [(64, 32, 32), (128, 16, 16), (128, 16, 16)]}


def test_parameters():
    assert BY_HAND == {GREY: 6_589_578, COLOR: 6_575_370}
    assert {shape: parameter_count(build(shape)) for shape in SHAPES} == BY_HAND


def test_the_paper_s_cuts():
    assert [blocks(build())[cut] for cut in CUTS] == ["block1", "block2", "res1"]


@pytest.mark.parametrize(("shape", "training"), [(GREY, True), (GREY, False), (COLOR, False)])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_cut(shape, number, training):
    """In training they end with the same statistics too."""
    model, inputs = build(shape).train(training), torch.rand(3, *shape)
    client, server = split(model, [CUTS[number - 1]])
    assert parameter_count(client) == CLIENT[shape][number - 1]
    assert parameter_count(server) == BY_HAND[shape] - CLIENT[shape][number - 1]
    smashed = client(inputs)
    assert smashed.shape == (3, *SENT[shape][number - 1])
    assert torch.equal(server(smashed), model(inputs))
    joined = join([client, server]).state_dict()
    assert [name for name, value in model.state_dict().items() if not torch.equal(value, joined[name])] == []


@pytest.mark.parametrize(("shape", "kernel", "stride"), [(GREY, 2, 1), (COLOR, 4, 4), ((1, 32, 32), 4, 4)])
def test_what_the_server_computes(shape, kernel, stride):
    model = build(shape).eval()
    data = torch.rand(2, 128, shape[1] // 2, shape[2] // 2)
    server = split(model, ["res1"])[1]
    # The blocks themselves are tested in tests/blocks/test_residual.py.
    inner = data
    for name in ("block3", "block4", "res2"):
        inner = server.get_submodule(name)(inner)
    last = server.get_submodule("fc")[1]
    assert inner.shape == (2, 512, shape[1] // 8, shape[2] // 8)
    assert torch.equal(server(data), last(max_pool2d(inner, kernel, stride).flatten(1)))


def test_every_convolution_has_a_bias_and_a_normalization():
    convolutions = [module for module in build().modules() if isinstance(module, nn.Conv2d)]
    norms = [module for module in build().modules() if isinstance(module, nn.BatchNorm2d)]
    assert [module.out_channels for module in convolutions] == [64, 128, 128, 128, 256, 512, 512, 512]
    assert [module.num_features for module in norms] == [module.out_channels for module in convolutions]
    assert all(module.bias is not None for module in convolutions)


@pytest.mark.parametrize(("shape", "classes"), [((1, 16, 16), 2), ((3, 28, 28), 5), ((2, 17, 40), 7)])
def test_any_size_that_leaves_something(shape, classes):
    assert build(shape, classes)(torch.rand(2, *shape)).shape == (2, classes)


def test_a_size_that_leaves_nothing():
    with pytest.raises(ValueError, match="images of 28x15 pixels are too small: both sides need at least 16"):
        build((1, 28, 15))
