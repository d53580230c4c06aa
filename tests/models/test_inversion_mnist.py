"""The MNIST victim of He, Zhang, Lee: UnSplit's network on normalized inputs."""

from __future__ import annotations

import pytest
import torch

from cutlayer.model import parameter_count, split
from cutlayer.models import unsplit_mnist
from cutlayer.models.inversion_mnist import CUTS, build

CLIENT = {0: (208, (8, 24, 24)), 4: (3424, (16, 8, 8))}


def test_it_is_unsplit_s_network_on_normalized_inputs():
    model, twin, inputs = build(), unsplit_mnist.build(), torch.rand(2, 1, 28, 28)
    twin.load_state_dict({name.replace("conv1.1.", "conv1."): value for name, value in model.state_dict().items()})
    assert torch.equal(model(inputs), twin((inputs - 0.5) / 0.5))
    assert parameter_count(model) == 45_278


@pytest.mark.parametrize("cut", CUTS)
def test_every_cut(cut):
    model, inputs = build(), torch.rand(2, 1, 28, 28)
    client, server = split(model, [cut])
    assert (parameter_count(client), client(inputs).shape[1:]) == CLIENT[cut]
    assert torch.equal(server(client(inputs)), model(inputs))


@pytest.mark.parametrize(("shape", "classes"), [((3, 32, 32), 7), ((1, 16, 20), 2)])
def test_any_image_shape_and_number_of_classes(shape, classes):
    assert build(shape, classes)(torch.rand(3, *shape)).shape == (3, classes)
