"""What SLADV's networks have in common: their form, and that a cut of the paper changes nothing."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from torch import nn

from cutlayer.blocks.normalization import CIFAR_STD, deviations
from cutlayer.model import blocks, join, parameter_count, split

SENT: dict[str, list[tuple[int, ...]]] = {
    "resnet18": [(64, 32, 32), (64, 32, 32), (128, 16, 16), (256, 8, 8), (512,)],
    "resnet18_narrow": [(8, 32, 32), (8, 32, 32), (16, 16, 16), (32, 8, 8), (64,)],
    "mobilenet_v2": [(32, 32, 32), (32, 16, 16), (64, 8, 8), (96, 8, 8), (1280,)],
    "densenet": [(24, 32, 32), (48, 16, 16), (96, 8, 8), (192, 4, 4), (384,)],
    "efficientnet_b0": [(32, 32, 32), (24, 16, 16), (80, 4, 4), (112, 4, 4), (320,)],
}
"""By network: what crosses at the paper's cuts and at the output cut, of a color image of 32x32 pixels."""


def check_form(module: ModuleType, parameters: int, names: list[str]) -> None:
    """The number of parameters, the blocks before the cuts, what crosses there and at the output cut."""
    model = module.build((3, 32, 32), 10)
    assert parameter_count(model) == parameters
    assert [blocks(model)[cut] for cut in module.CUTS] == names
    value, shapes = torch.rand(2, 3, 32, 32), list[torch.Size]()
    for block in model.eval():
        value = block(value)
        shapes.append(value.shape[1:])
    assert [shapes[cut] for cut in (*module.CUTS, -2)] == SENT[module.__name__.rpartition(".")[2]]
    assert isinstance(split(model, [-2])[1][0], nn.Linear)
    assert deviations(model) == pytest.approx(CIFAR_STD)


def check_cuts(module: ModuleType) -> None:
    """At the first and the last cut, with the output cut behind: the same outputs, in training the same statistics."""
    torch.manual_seed(0)
    model, inputs = module.build((1, 16, 16), 4), torch.rand(3, 1, 16, 16)
    for training, cuts in ((True, (module.CUTS[0], module.CUTS[-1])), (False, module.CUTS[-1:])):
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
