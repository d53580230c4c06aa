"""Blocks and residuals against the same operations written out, and against cases that can be read off."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d, max_pool2d, relu

from cutlayer.blocks.residual import Basic, Residual, beginning, block
from cutlayer.model import parameter_count


def unsettled(module: nn.Module) -> nn.Module:
    """``module`` in evaluation mode, its normalizations with statistics, weights and biases that all do something."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.running_mean, part.running_var, part.weight.data, part.bias.data):
                tensor.uniform_(0.5, 1.5)
    return module.eval()


def written_out(part: nn.Module, inputs: Tensor) -> Tensor:
    """Convolution with padding 1 and bias, normalization by its running statistics, ReLU."""
    conv, norm = part[0], part[1]
    made = conv2d(inputs, conv.weight, conv.bias, padding=1)
    return relu(batch_norm(made, norm.running_mean, norm.running_var, norm.weight, norm.bias))


def test_a_block():
    inputs = torch.randn(2, 3, 7, 6)
    made = unsettled(block(3, 5))
    assert parameter_count(made) == (9 * 3 * 5 + 5) + (5 + 5)
    assert torch.equal(made(inputs), written_out(made, inputs))
    pooled = unsettled(block(3, 5, pool=True))
    assert torch.equal(pooled(inputs), max_pool2d(written_out(pooled, inputs), 2))


def test_a_residual():
    made, inputs = unsettled(Residual(4)), torch.randn(2, 4, 5, 5)
    assert parameter_count(made) == 2 * ((9 * 4 * 4 + 4) + (4 + 4))
    inner = written_out(made.second, written_out(made.first, inputs))
    assert torch.equal(made(inputs), inner + inputs)
    assert (made(inputs) < 0).any(), "an activation behind the sum would leave nothing below zero"


@pytest.mark.parametrize("training", [True, False])
def test_a_residual_whose_last_normalization_gives_zero_is_the_identity(training):
    made, inputs = Residual(4).train(training), torch.randn(3, 4, 5, 5)
    nn.init.zeros_(made.second[1].weight)
    assert torch.equal(made(inputs), inputs)


def test_the_beginning():
    made = beginning(3)
    shapes, data = {}, torch.rand(2, 3, 32, 32)
    for name, module in made.items():
        data = module(data)
        shapes[name] = tuple(data.shape[1:])
    assert shapes == {"block1": (64, 32, 32), "block2": (128, 16, 16), "res1": (128, 16, 16)}


def test_resnet18_s_block():
    inputs = torch.randn(2, 3, 7, 6)
    kept, made = unsettled(Basic(3, 3)), unsettled(Basic(3, 5, stride=2))
    assert parameter_count(kept) == 2 * (9 * 3 * 3 + 6)
    assert parameter_count(made) == 9 * 3 * 5 + 9 * 5 * 5 + 3 * 5 + 3 * 10
    assert made(inputs).shape == (2, 5, 4, 3)
    for part, stride in ((kept, 1), (made, 2)):
        (first, norm), (second, last) = part.first, part.second
        inner = relu(normalized(norm, conv2d(inputs, first.weight, stride=stride, padding=1)))
        main = normalized(last, conv2d(inner, second.weight, padding=1))
        around = inputs if stride == 1 else normalized(part.around[1], conv2d(inputs, part.around[0].weight, stride=2))
        assert torch.equal(part(inputs), relu(main + around))


def normalized(norm: nn.BatchNorm2d, made: Tensor) -> Tensor:
    return batch_norm(made, norm.running_mean, norm.running_var, norm.weight, norm.bias)
