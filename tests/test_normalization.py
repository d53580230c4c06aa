"""Normalization inside a network: its formula, and that it leaves no trace in what is saved."""

from __future__ import annotations

import torch

from cutlayer.normalization import Normalization


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
