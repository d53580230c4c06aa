"""VMI-FGSM: the optimum of a linear proxy, its steps written out, units that do not matter, torchattacks beside it."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cutlayer.attacks import vmi_fgsm
from cutlayer.attacks.vmi_fgsm import VMIFGSM
from cutlayer.budget import Budget
from tests.evasions import best, linear, natural

BUDGET = Budget((0.1, 0.2))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(24, 5))
    return layers.double().eval().requires_grad_(False)


def test_the_optimum_of_a_linear_proxy() -> None:
    proxy, inputs = linear(), natural()
    labels = proxy(inputs).argmax(1)
    changed = VMIFGSM(neighbors=2).perturb(proxy, inputs, labels, BUDGET)
    torch.testing.assert_close(changed, best(proxy, inputs, labels, BUDGET))


def test_its_steps_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Algorithm 1, with neighbors that are the same for both."""
    away = [torch.rand(4, 2, 4, 5, dtype=torch.float64) * 3 - 1.5 for _ in range(6)]
    drawn = iter(away)
    monkeypatch.setattr(vmi_fgsm, "drawn", lambda like, low, high: next(drawn))
    proxy, inputs, size = network(), natural(4).double(), 0.125
    labels = proxy(inputs).argmax(1)
    ours = VMIFGSM(iterations=3, neighbors=2, momentum=0.7).perturb(proxy, inputs, labels, Budget((size,)))

    def gradient(at: Tensor) -> Tensor:
        at = at.clone().requires_grad_()
        return torch.autograd.grad(cross_entropy(proxy(at), labels, reduction="sum"), at)[0]

    adversarial, g, v = inputs.clone(), torch.zeros_like(inputs), torch.zeros_like(inputs)
    for step in range(3):
        here = gradient(adversarial)
        g = 0.7 * g + (here + v) / (here + v).abs().mean((1, 2, 3), keepdim=True)
        v = sum(gradient(adversarial + size * away[2 * step + n]) for n in range(2)) / 2 - here
        adversarial = adversarial + size / 3 * g.sign()
        adversarial = torch.min(torch.max(adversarial, inputs - size), inputs + size).clamp(0, 1)
    torch.testing.assert_close(ours, adversarial)


def test_units_make_no_difference() -> None:
    """A network that divides its second channel by 1/2, with half the budget there, sees the same changes."""
    plain, inputs = network(), 0.3 + 0.4 * natural(4).double()
    labels = plain(inputs).argmax(1)
    scale = torch.tensor([1.0, 0.5], dtype=torch.float64).view(1, 2, 1, 1)

    class Normalized(nn.Module):
        def forward(self, values: Tensor) -> Tensor:
            return plain(values / scale)

    for attack in (VMIFGSM(neighbors=1, beta=0.0), VMIFGSM(neighbors=3)):
        torch.manual_seed(1)
        changed = attack.perturb(Normalized(), inputs * scale, labels, Budget((0.0625, 0.03125)))
        torch.manual_seed(1)
        torch.testing.assert_close(changed / scale, attack.perturb(plain, inputs, labels, Budget((0.0625,))))


def test_a_proxy_without_a_slope_leaves_inputs_as_they_are() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(40, 2))
    nn.init.zeros_(flat[1].weight)
    inputs = natural()
    changed = VMIFGSM(neighbors=1).perturb(flat, inputs, torch.zeros(6, dtype=torch.int64), BUDGET)
    assert torch.equal(changed, inputs)


def test_it_agrees_with_torchattacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the draws that torchattacks makes; sums are exact at this size, so that both take the same steps."""
    torchattacks = pytest.importorskip("torchattacks", reason="scripts/test-oracles installs it without torchvision")
    assert "torchvision" not in sys.modules
    monkeypatch.setattr(vmi_fgsm, "drawn", lambda like, low, high: torch.randn_like(like).uniform_(low, high))
    proxy, inputs, size = network(), natural(8).double(), 1 / 8
    labels = proxy(inputs).argmax(1)
    torch.manual_seed(1)
    theirs = torchattacks.VMIFGSM(proxy, eps=size, alpha=size / 8, steps=8, decay=1.0, N=20, beta=1.5)(inputs, labels)
    torch.manual_seed(1)
    ours = VMIFGSM(iterations=8).perturb(proxy, inputs, labels, Budget((size,)))
    torch.testing.assert_close(ours, theirs)
    assert (ours - inputs).abs().max() == size


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"iterations": 0}, "iterations = 0: it is at least 1"),
        ({"neighbors": 0}, "neighbors = 0: it is at least 1"),
        ({"momentum": -1}, "momentum = -1: it is at least 0"),
        ({"beta": -0.5}, "beta = -0.5: it is at least 0"),
    ],
)
def test_wrong_options(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        VMIFGSM(**options)
