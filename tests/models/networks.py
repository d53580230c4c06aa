"""What SLADV's networks have in common: their form, and that every cut of the paper changes nothing."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from torch import nn

from cutlayer.blocks.normalization import CIFAR_STD, deviations
from cutlayer.model import blocks, join, parameter_count, split


def check_form(module: ModuleType, parameters: int, names: list[str], sent: list[tuple[int, ...]]) -> None:
    """The number of parameters, the blocks before the cuts, what crosses there and at the output cut."""
    model = module.build((3, 32, 32), 10)
    assert parameter_count(model) == parameters
    assert [blocks(model)[cut] for cut in module.CUTS] == names
    for cut, shape in zip((*module.CUTS, -2), sent, strict=True):
        assert split(model.eval(), [cut])[0](torch.rand(2, 3, 32, 32)).shape == (2, *shape)
    assert isinstance(split(model, [-2])[1][0], nn.Linear)
    assert deviations(model) == pytest.approx(CIFAR_STD)


def check_cuts(module: ModuleType) -> None:
    """At every cut, with the output cut behind it: the same outputs, in training the same statistics too."""
    torch.manual_seed(0)
    model, inputs = module.build((1, 16, 16), 4), torch.rand(3, 1, 16, 16)
    for training, cuts in ((True, module.CUTS), (False, module.CUTS[-1:])):
        for cut in cuts:
            parts = [part.train(training) for part in split(model, [cut, -2])]
            whole = join(parts).train(training)
            torch.manual_seed(1)
            expected = whole(inputs)
            torch.manual_seed(1)
            value = inputs
            for part in parts:
                value = part(value)
            assert torch.equal(value, expected)
            assert expected.shape == (3, 4)
            own = join(parts).state_dict()
            assert [name for name, kept in whole.state_dict().items() if not torch.equal(kept, own[name])] == []


def check_sizes(module: ModuleType) -> None:
    """Images of any size from 16 pixels on, in any number of channels."""
    assert module.build((2, 17, 24), 3).eval()(torch.rand(2, 2, 17, 24)).shape == (2, 3)
    with pytest.raises(ValueError, match="images of 28x15 pixels are too small: both sides need at least 16"):
        module.build((1, 28, 15))
