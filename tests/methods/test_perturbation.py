"""Slopes, sign steps and the cosine transform, against cases whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cosine_similarity, cross_entropy

from cutlayer.budget import Budget
from cutlayer.methods.perturbation import (
    anywhere,
    cosine_slope,
    dct2,
    idct2,
    label_slope,
    outputs_of,
    probe,
    renewed,
    sign_steps,
)
from tests.evasions import SHAPE, best, linear, natural

BUDGET = Budget((0.1, 0.2))


def test_the_slope_of_a_label_s_loss() -> None:
    network, inputs, labels = linear(), natural().requires_grad_(), torch.tensor([0, 1, 0, 1, 0, 1])
    cross_entropy(network(inputs), labels, reduction="sum").backward()
    torch.testing.assert_close(label_slope(network, labels)(inputs), inputs.grad)
    alone = label_slope(network, labels[2:3])(inputs[2:3])
    torch.testing.assert_close(alone[0], inputs.grad[2], msg="a sample's slope depends on the others")


def test_the_slope_of_likeness_points_away_from_the_natural_outputs() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(40, 7), nn.Tanh()).requires_grad_(False)
    inputs = natural()
    slope, near = cosine_slope(network, outputs_of(network, inputs)), inputs + 0.01 * torch.randn_like(inputs)
    assert slope(inputs).abs().max() < 1e-6, "at the natural inputs there is nowhere to go"
    before = cosine_similarity(network(inputs), network(near))
    after = cosine_similarity(network(inputs), network(near + 0.001 * slope(near).sign()))
    assert (after < before).all()


def test_steps_reach_the_optimum_of_a_linear_network_and_stay_there() -> None:
    network, inputs = linear(), natural()
    labels = network(inputs).argmax(1)
    slope, wanted = label_slope(network, labels), best(network, inputs, labels, BUDGET)
    start = BUDGET.clip(2 * inputs - wanted, inputs)  # as far as can be on the other side
    for iterations, step, reached in ((8, 0.25, True), (7, 0.25, False), (2, 1.0, True), (50, 0.25, True)):
        changed = sign_steps(inputs, start, slope, BUDGET, iterations, step)
        assert torch.allclose(changed, wanted, atol=1e-6) is reached
        assert torch.equal(changed, BUDGET.clip(changed, inputs))


def test_a_budget_of_nothing_changes_nothing() -> None:
    network, inputs = linear(), natural()
    slope = label_slope(network, torch.zeros(6, dtype=torch.int64))
    start = anywhere(inputs, Budget((0.0,)))
    assert torch.equal(sign_steps(inputs, start, slope, Budget((0.0,)), 3, 1.0), inputs)


def test_a_start_anywhere() -> None:
    inputs = torch.full((200, *SHAPE), 0.5)
    away = (anywhere(inputs, BUDGET, 0.5) - inputs).abs().amax((0, 2, 3))
    torch.testing.assert_close(away, torch.tensor([0.05, 0.1]), atol=2e-3, rtol=0)


def test_the_cosine_transform() -> None:
    from scipy.fft import dctn

    images = torch.rand(3, 2, 5, 8, dtype=torch.float64)
    np.testing.assert_allclose(dct2(images).numpy(), dctn(images.numpy(), axes=(2, 3), norm="ortho"), atol=1e-12)
    torch.testing.assert_close(idct2(dct2(images)), images)
    single = images.float()
    torch.testing.assert_close(idct2(dct2(single)), single)


def test_a_probe_tells_layers_apart_and_nothing_else() -> None:
    inputs, layers = natural(), nn.Conv2d(2, 3, 3)
    outputs, slopes = probe(layers, inputs)
    torch.testing.assert_close(outputs, layers(inputs).detach())
    assert slopes.shape == inputs.shape
    assert torch.equal(slopes, probe(layers, inputs)[1])
    with torch.no_grad():
        layers.weight.neg_()
    torch.testing.assert_close(probe(layers, inputs)[1], -slopes)


def test_renewed_weights() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    before = network[0].weight.clone()
    network[1].running_mean.fill_(3)
    renewed(network)
    assert not torch.equal(network[0].weight, before)
    assert network[1].running_mean.tolist() == [0, 0]


@pytest.mark.parametrize("channels", [1, 2])
def test_one_reach_for_all_channels(channels: int) -> None:
    inputs = torch.full((1, channels, 2, 2), 0.5)
    assert torch.equal(Budget((0.25,)).clip(inputs + 1, inputs), inputs + 0.25)
