"""FSHA's ResNet: its layers counted by hand, the client of every level, inputs of other forms."""

from __future__ import annotations

import pytest
import torch

from cutlayer.model import parameter_count, split
from cutlayer.models.fsha_resnet import CUTS, Prepared, build


def conv(into: int, out: int) -> int:
    """Weights and biases of a 3x3 convolution."""
    return 9 * into * out + out


# By level: parameters of the client, and the shape of what it sends.
LEVEL_1 = conv(3, 64) + 2 * 64 + 2 * conv(64, 64)
LEVEL_2 = LEVEL_1 + conv(64, 128) + conv(128, 128) + conv(64, 128)
LEVEL_3 = LEVEL_2 + 2 * conv(128, 128)
LEVEL_4 = LEVEL_3 + conv(128, 256) + conv(256, 256) + conv(128, 256)
LEVELS = {4: (LEVEL_1, (64, 16, 16)), 5: (LEVEL_2, (128, 8, 8)), 6: (LEVEL_3, (128, 8, 8)), 7: (LEVEL_4, (256, 4, 4))}
SERVER = 2 * conv(256, 256) + 256 * 10 + 10


def test_parameters():
    assert parameter_count(build()) == LEVEL_4 + SERVER == 1_846_656 + 1_182_730


def test_level_4_comes_first():
    assert CUTS == (7, 6, 5, 4)


@pytest.mark.parametrize("cut", CUTS)
def test_every_level(cut):
    model, inputs = build().eval(), torch.rand(2, 3, 32, 32)
    client, server = split(model, [cut])
    count, shape = LEVELS[cut]
    assert parameter_count(client) == count
    assert client(inputs).shape == (2, *shape)
    assert torch.equal(server(client(inputs)), model(inputs))


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 32, 32), (3, 30, 17)])
def test_small_images_send_what_those_of_32_send(shape):
    model = build(shape)
    assert split(model, [7])[0](torch.rand(2, *shape)).shape == (2, 256, 4, 4)
    assert parameter_count(model) == LEVEL_4 + SERVER


@pytest.mark.parametrize(("shape", "classes"), [((4, 64, 48), 3), ((1, 8, 8), 2)])
def test_any_channels_size_and_number_of_classes(shape, classes):
    assert build(shape, classes)(torch.rand(2, *shape)).shape == (2, classes)


def test_inputs_are_prepared_as_published():
    gray = torch.tensor([[0.0, 1.0], [0.5, 0.25]])[None, None].repeat(1, 1, 8, 8)
    assert torch.equal(Prepared((1, 16, 16))(gray), (2 * gray - 1).repeat(1, 3, 1, 1))
    stretched = Prepared((3, 28, 28))(torch.rand(1, 3, 28, 28))
    assert stretched.shape == (1, 3, 32, 32)
    assert -1 <= stretched.min() < -0.5
    assert 0.5 < stretched.max() <= 1
    assert list(Prepared((1, 28, 28)).parameters()) == []


def test_the_residual_blocks_add_to_what_they_get():
    model = build().eval()
    for name, shape in (("res1", (64, 16, 16)), ("res3", (128, 8, 8)), ("res5", (256, 4, 4))):
        block, inputs = model.get_submodule(name), torch.rand(1, *shape)
        # Negative inputs only: nothing passes the first ReLU, and all biases start at 0.
        assert torch.equal(block(-inputs), -inputs), name
        assert not torch.allclose(block(inputs), inputs), name


def test_weights_start_as_published():
    weight = build().get_submodule("res4").second.weight
    bound = (6 / (2 * 9 * 256)) ** 0.5
    assert 0.99 * bound < weight.abs().max() <= bound
