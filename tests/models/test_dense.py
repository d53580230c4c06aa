"""The dense network: its layers counted by hand, and every cut."""

from __future__ import annotations

import pytest
import torch

from cutlayer.model import parameter_count, split
from cutlayer.models.dense import CUTS, build

LAYERS = [30 * 64 + 64, 64 * 32 + 32, 32 * 16 + 16, 16 * 2 + 2]
CLIENT = {1: (1, 64), 3: (2, 32), 5: (3, 16)}


def test_parameters():
    assert parameter_count(build()) == sum(LAYERS) == 4_626


@pytest.mark.parametrize("cut", CUTS)
def test_every_cut(cut):
    model, inputs = build(), torch.rand(5, 30)
    client, server = split(model, [cut])
    layers, width = CLIENT[cut]
    assert parameter_count(client) == sum(LAYERS[:layers])
    assert client(inputs).shape == (5, width)
    assert torch.equal(server(client(inputs)), model(inputs))


def test_images_are_flattened():
    assert build((1, 8, 8), 10)(torch.rand(2, 1, 8, 8)).shape == (2, 10)
