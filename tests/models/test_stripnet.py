"""StripNet: its layers counted by hand at both sizes, what they compute, every cut of the paper."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import batch_norm, conv2d, elu, linear, max_pool2d

from cutlayer.model import blocks, join, parameter_count, split
from cutlayer.models.stripnet import CUTS, build

GREY, COLOR = (1, 28, 28), (3, 32, 32)
SHAPES = [GREY, COLOR]
# Weights and biases of the 3x3 convolutions, scales and shifts of the normalizations, one linear layer.
FIRST = {GREY: 9 * 1 * 32 + 32, COLOR: 9 * 3 * 32 + 32}
SECOND = 9 * 32 * 32 + 32
DEEPER = (9 * 32 * 64 + 64) + (9 * 64 * 64 + 64) + (9 * 64 * 128 + 128) + (9 * 128 * 128 + 128)
NORMS = 2 * (2 * 32 + 2 * 64 + 2 * 128)
LAST = {GREY: 1_152 * 10 + 10, COLOR: 2_048 * 10 + 10}
BY_HAND = {shape: FIRST[shape] + SECOND + DEEPER + NORMS + LAST[shape] for shape in SHAPES}
CLIENT = {shape: [FIRST[shape], FIRST[shape] + 2 * 32, FIRST[shape] + 2 * 32 + SECOND] for shape in SHAPES}


def test_parameters():
    assert BY_HAND == {GREY: 298_858, COLOR: 308_394}
    assert {shape: parameter_count(build(shape)) for shape in SHAPES} == BY_HAND


def test_the_paper_s_cuts():
    assert [blocks(build())[cut] for cut in CUTS] == ["elu1", "bn1", "elu2"]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_cut(shape, number, training):
    """In training both draw the same dropout, and end with the same statistics."""
    model, inputs = build(shape).train(training), torch.rand(4, *shape)
    client, server = split(model, [CUTS[number - 1]])
    assert parameter_count(client) == CLIENT[shape][number - 1]
    assert parameter_count(server) == BY_HAND[shape] - CLIENT[shape][number - 1]
    torch.manual_seed(1)
    smashed = client(inputs)
    assert smashed.shape == (4, 32, *shape[1:])
    logits = server(smashed)
    torch.manual_seed(1)
    assert torch.equal(logits, model(inputs))
    joined = join([client, server]).state_dict()
    assert [name for name, value in model.state_dict().items() if not torch.equal(value, joined[name])] == []


@pytest.mark.parametrize("shape", SHAPES)
def test_what_it_computes(shape):
    model, inputs = build(shape).eval(), torch.rand(2, *shape)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.running_var, module.weight.data, module.bias.data):
                tensor.uniform_(0.5, 1.5)
    w = model.state_dict()

    data = inputs
    for number in range(1, 7):
        data = elu(conv2d(data, w[f"conv{number}.weight"], w[f"conv{number}.bias"], padding=1))
        statistics = [w[f"bn{number}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")]
        data = batch_norm(data, *statistics)
        data = max_pool2d(data, 2) if number % 2 == 0 else data
    assert torch.equal(model(inputs), linear(data.flatten(1), w["fc.1.weight"], w["fc.1.bias"]))


def test_dropout_takes_whole_channels_behind_every_pooling():
    names = blocks(build())
    drops = {name: module for name, module in build().named_children() if isinstance(module, nn.Dropout2d)}
    assert {name: module.p for name, module in drops.items()} == {"drop1": 0.2, "drop2": 0.3, "drop3": 0.4}
    assert [names[names.index(name) - 1] for name in drops] == ["pool1", "pool2", "pool3"]


@pytest.mark.parametrize(("shape", "classes"), [((1, 8, 8), 2), ((3, 28, 28), 5), ((2, 9, 40), 7)])
def test_any_size_that_leaves_something(shape, classes):
    assert build(shape, classes)(torch.rand(3, *shape)).shape == (3, classes)


def test_a_size_that_leaves_nothing():
    with pytest.raises(ValueError, match="images of 7x28 pixels are too small: both sides need at least 8"):
        build((1, 7, 28))
