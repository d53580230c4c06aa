"""Normalization inside a network: its formula, and that it leaves no trace in what is saved."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cutlayer.blocks.normalization import CIFAR_MEAN, CIFAR_STD, Normalization, deviations, standard


def test_each_channel_is_normalized_by_its_own():
    inputs = torch.rand(2, 3, 4, 5)
    found = Normalization((0.1, 0.2, 0.3), (0.5, 0.25, 2.0))(inputs)
    for channel, (mean, std) in enumerate([(0.1, 0.5), (0.2, 0.25), (0.3, 2.0)]):
        torch.testing.assert_close(found[:, channel], (inputs[:, channel] - mean) / std)


def test_nothing_is_learned_or_saved():
    block = Normalization([0.5], [0.5])
    assert list(block.parameters()) == []
    assert block.state_dict() == {}
    assert block.double().mean.dtype is torch.float64


def test_the_standard_one():
    torch.testing.assert_close(
        standard(3)(torch.ones(1, 3, 1, 1)).flatten(), (1 - torch.tensor(CIFAR_MEAN)) / torch.tensor(CIFAR_STD)
    )
    assert standard(1)(torch.tensor([[[[0.0, 1.0]]]])).tolist() == [[[[-1.0, 1.0]]]]


def test_what_a_model_divides_its_inputs_by():
    model = nn.Sequential(nn.Sequential(Normalization([0.5, 0.5], [0.25, 0.5]), nn.Conv2d(2, 3, 1)))
    assert deviations(model) == pytest.approx((0.25, 0.5))
    assert deviations(nn.Sequential(Normalization([0.5], [2.0]), model)) == pytest.approx((0.5, 1.0))
    assert deviations(nn.Sequential(nn.Conv2d(2, 3, 1))) is None
