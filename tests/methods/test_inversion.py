"""Inputs optimized to match activations: each piece against its formula or torch's own optimizer."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from cutlayer.methods.ensemble import Lowered, Traced, ensemble
from cutlayer.methods.inversion import FLAT, Adam, Estimate, Penalty, fit_range, pace, total_variation


def test_total_variation_follows_its_formulas():
    draw = torch.Generator().manual_seed(0)
    image = torch.rand(2, 3, 4, 5, generator=draw)
    isotropic = down = right = 0.0
    for channel in range(3):
        for i in range(4):
            for j in range(5):
                own = image[1, channel, i, j].item()
                below = image[1, channel, i + 1, j].item() - own if i < 3 else 0.0
                beside = image[1, channel, i, j + 1].item() - own if j < 4 else 0.0
                isotropic += math.sqrt(below**2 + beside**2 + FLAT)
                down, right = down + below**2, right + beside**2
    assert total_variation(image, "paper")[1].item() == pytest.approx(isotropic / (3 * 4 * 5), rel=1e-5)
    squared = down / (3 * 3 * 5) + right / (3 * 4 * 4)
    assert total_variation(image, "squared")[1].item() == pytest.approx(squared, rel=1e-5)


@pytest.mark.parametrize("form", ["paper", "squared"])
@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("shape", [(1, 6, 5), (3, 4, 7)])
def test_the_penalty_of_images(form, flat, shape):
    inputs = torch.full((2, *shape, 3), 0.5) if flat else torch.rand(2, *shape, 3)
    leaf = inputs.clone().requires_grad_()
    images = leaf.movedim(-1, 1)
    value = 0.7 * total_variation(images, form).sum() + 0.3 * images.square().mean((2, 3, 4)).sum()
    value.backward()
    penalty = Penalty(inputs, 0.7, 0.3, form)
    for _ in range(2):
        torch.testing.assert_close(penalty.gradient(inputs), leaf.grad, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("shape", [(30,), (1, 1, 30)])
def test_what_is_no_image_has_no_variation(shape):
    inputs = torch.rand(1, *shape, 2)
    torch.testing.assert_close(Penalty(inputs, 5.0, 1.0).gradient(inputs), 2 * inputs / 30)


@pytest.mark.parametrize("epsilon", [1e-8, 1e-3])
@pytest.mark.parametrize("amsgrad", [True, False])
def test_adam_is_torch_adam(amsgrad, epsilon):
    draw = torch.Generator().manual_seed(0)
    ours, theirs = torch.rand(7, generator=draw), nn.Parameter(torch.empty(7))
    theirs.data.copy_(ours)
    adam = Adam(ours, 1e-2, amsgrad, epsilon)
    reference = torch.optim.Adam([theirs], 1e-2, eps=epsilon, amsgrad=amsgrad)

    def together(steps: int) -> None:
        for step in range(steps):
            grad = torch.randn(7, generator=draw) * 0.5**step
            theirs.grad = grad.clone()
            reference.step()
            adam.step(grad)
            torch.testing.assert_close(ours, theirs.data)

    together(20)
    adam.reset()
    reference = torch.optim.Adam([theirs], 1e-2, eps=epsilon, amsgrad=amsgrad)
    together(20)


def test_an_estimate_finds_what_a_known_network_was_given():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU()).eval()
    truth = torch.rand(4, 1, 8, 8)
    fit = ensemble([network], (1, 8, 8), 4)
    fit.aim(network(truth).detach()[None])
    inputs = torch.zeros(1, 1, 8, 8, 4)
    estimate = Estimate(inputs, Penalty(inputs, 0.0, 0.0), 0.02, True)
    estimate.restart(0.5)
    for _ in range(400):
        estimate.step(estimate.gradient(fit))
    assert (inputs[0].movedim(-1, 0) - truth).square().mean() < 0.05 * truth.var()


def convolutional() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 2, 2)).eval()


@pytest.mark.parametrize("way", [Lowered, lambda networks, shape, batch: Traced(networks)])
@pytest.mark.parametrize(
    "build", [convolutional, lambda: nn.Sequential(nn.Sequential(nn.Flatten(), nn.Linear(100, 3)), nn.Tanh()).eval()]
)
def test_a_faint_negative_is_turned_and_what_matches_still_does(build, way):
    torch.manual_seed(0)
    networks = [build() for _ in range(3)]
    truth = torch.zeros(3, 1, 10, 10, 2)
    truth[:, :, 2:6, 3:5] = torch.rand(3, 1, 4, 2, 1)
    truth[:, :, 5, 3:5] = 1
    # Of the third network they are all but flat, and left alone.
    inputs = torch.stack([0.7 - 0.3 * truth[0], 2.0 * truth[1] - 1, 0.5 + 0.005 * truth[2]])
    fit = way(networks, (1, 10, 10), 2)
    with torch.no_grad():
        wanted = torch.stack([n(one.movedim(-1, 0)) for n, one in zip(networks, inputs, strict=True)])
        flat = inputs[2].clone()
        fit.aim(wanted)
        assert fit_range(fit, inputs)
    torch.testing.assert_close(inputs[:2], truth[:2], rtol=0, atol=1e-5)
    assert torch.equal(inputs[2], flat)
    assert fit.errors(inputs).max() < 1e-9
    for number, network in enumerate(networks):
        network.load_state_dict(fit.state(number))
        outputs = network(inputs[number].movedim(-1, 0)).detach()
        torch.testing.assert_close(outputs, wanted[number], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.ReLU()),
        nn.Sequential(nn.Tanh(), nn.Conv2d(1, 2, 3)),
        nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(1, 2, 3)),
        nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 2, 3)),
        nn.Sequential(nn.Conv2d(1, 2, 3, stride=2, bias=False)),
    ],
)
def test_nothing_is_scaled_where_the_first_layer_cannot_undo_it(network):
    inputs = torch.rand(1, 1, 8, 8, 2)
    before = inputs.clone()
    fit = ensemble([network], (1, 8, 8), 2)
    weights = fit.weights.clone()
    assert not fit_range(fit, inputs)
    assert torch.equal(inputs, before)
    assert torch.equal(fit.weights, weights)


def test_pace_leaves_torch_as_it_was():
    tiny, threads = torch.full((1,), 1e-38), torch.get_num_threads()
    fit = ensemble([nn.Sequential(nn.Linear(2, 2))], (2,), 1)

    def fail() -> None:
        with pace(fit):
            assert torch.get_num_threads() == 1
            assert not (tiny * 0.01).any()
            raise KeyError

    torch.set_num_threads(2)
    with pytest.raises(KeyError):
        fail()
    assert torch.get_num_threads() == 2
    assert (tiny * 0.01).any()
    torch.set_num_threads(threads)
