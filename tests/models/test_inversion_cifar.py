"""The CIFAR-10 victim of He, Zhang, Lee: UnSplit's network on normalized inputs."""

from __future__ import annotations

import pytest
import torch

from cutlayer.model import parameter_count, split
from cutlayer.models import unsplit_cifar
from cutlayer.models.inversion_cifar import CUTS, MEAN, STD, build

CLIENT = {0: (1_792, (64, 32, 32)), 8: (260_160, (128, 16, 16)), 13: (555_328, (128, 8, 8))}


def test_it_is_unsplit_s_network_on_normalized_inputs():
    model, twin, inputs = build(), unsplit_cifar.build(), torch.rand(2, 3, 32, 32)
    twin.load_state_dict({name.replace("conv1.1.", "conv1."): value for name, value in model.state_dict().items()})
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    assert torch.equal(model(inputs), twin((inputs - mean) / std))
    assert parameter_count(model) == 1_609_546


@pytest.mark.parametrize("cut", CUTS)
def test_every_cut(cut):
    model, inputs = build(), torch.rand(2, 3, 32, 32)
    client, server = split(model, [cut])
    assert (parameter_count(client), client(inputs).shape[1:]) == CLIENT[cut]
    assert torch.equal(server(client(inputs)), model(inputs))


def test_it_is_for_color_images():
    assert build((3, 64, 64), 5)(torch.rand(2, 3, 64, 64)).shape == (2, 5)
    with pytest.raises(ValueError, match="inputs of 1 channels: their means are known for 3"):
        build((1, 32, 32))
