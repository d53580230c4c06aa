"""SSA: the optimum of a linear proxy, its steps written out, what its parts are for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cutlayer.attacks import pgd, ssa
from cutlayer.attacks.ssa import SSA
from cutlayer.budget import Budget
from cutlayer.experiment import ExperimentError, make
from cutlayer.scene.settle import settle
from tests.evasions import best, linear, natural

BUDGET = Budget((0.1, 0.2))


def test_the_optimum_of_a_linear_proxy() -> None:
    proxy, inputs = linear(), natural()
    labels = proxy(inputs).argmax(1)
    changed = SSA(spectra=2).perturb(proxy, inputs, labels, BUDGET)
    torch.testing.assert_close(changed, best(proxy, inputs, labels, BUDGET))


def test_its_steps_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The published code: noise, transform, mask, transform back, gradient there, mean, sign."""
    from scipy.fft import dctn, idctn

    torch.manual_seed(0)
    proxy = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(24, 5)).double().requires_grad_(False)
    inputs, size = natural(4).double(), 0.125
    labels = proxy(inputs).argmax(1)
    masks = [torch.rand(inputs.shape, dtype=torch.float64) + 0.5 for _ in range(6)]
    noises = [torch.randn(inputs.shape, dtype=torch.float64) for _ in range(6)]
    drawn, noisy = iter(masks), iter(noises)
    monkeypatch.setattr(ssa, "drawn", lambda like, low, high: next(drawn))
    monkeypatch.setattr(torch, "randn", lambda shape: next(noisy))
    ours = SSA(iterations=3, spectra=2).perturb(proxy, inputs, labels, Budget((size,)))

    def gradient(at: Tensor) -> Tensor:
        at = at.clone().requires_grad_()
        return torch.autograd.grad(cross_entropy(proxy(at), labels, reduction="sum"), at)[0]

    changed = inputs.clone()
    for step in range(3):
        total = torch.zeros_like(inputs)
        for number in (2 * step, 2 * step + 1):
            spectrum = dctn((changed + 16 / 255 * noises[number]).numpy(), axes=(2, 3), norm="ortho")
            image = idctn(spectrum * masks[number].numpy(), axes=(2, 3), norm="ortho")
            total += gradient(torch.tensor(image))
        changed = changed + size / 3 * total.sign()
        changed = torch.min(torch.max(changed, inputs - size), inputs + size).clamp(0, 1)
    torch.testing.assert_close(ours, changed)


def test_without_noise_and_mask_it_is_iterated_sign_steps() -> None:
    torch.manual_seed(0)
    proxy = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(24, 5)).double().requires_grad_(False)
    inputs = natural(4).double()
    labels, budget = proxy(inputs).argmax(1), Budget((0.125,))
    plain = pgd.sign_steps(inputs, inputs, pgd.label_slope(proxy, labels), budget, 10, 0.1)
    torch.testing.assert_close(SSA(rho=0.0, sigma=0.0, spectra=1).perturb(proxy, inputs, labels, budget), plain)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"iterations": 0}, "iterations = 0: it is at least 1"),
        ({"spectra": 0}, "spectra = 0: it is at least 1"),
        ({"rho": -0.5}, "rho = -0.5: it is at least 0"),
        ({"sigma": -1}, "sigma = -1: it is at least 0"),
    ],
)
def test_wrong_options(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SSA(**options)


def test_tables_have_no_spectrum() -> None:
    with pytest.raises(
        ExperimentError, match=r"ssa: it changes the spectrum of images, and inputs are of shape \[30\]"
    ):
        settle(make({"attack": "ssa", "dataset": "breast_cancer", "protocol": "vanilla"}))
