"""What evasion attacks have in common: the slope of a loss at inputs, projected sign steps, a probe of layers, the DCT.

Adversarial inputs are always within their budget of the natural ones, and within [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy

from cutlayer.budget import Budget
from cutlayer.computing import exactly

CHUNK = 250
"""Inputs that are perturbed at once."""
PROBED = 32
"""Natural inputs on which layers are compared."""
M = TypeVar("M", bound=nn.Module)
Slope = Callable[[Tensor], Tensor]
"""From inputs [n, ...] to the gradient there of a loss that is to grow; each sample's does not depend on the others."""


def label_slope(network: nn.Module, labels: Tensor) -> Slope:
    """Of the cross-entropy with ``labels`` [n]."""
    return _slope(network, lambda logits: cross_entropy(logits, labels, reduction="sum"))


def cosine_slope(network: nn.Module, unchanged: Tensor) -> Slope:
    """Of minus the cosine similarity of the outputs with ``unchanged`` ones [n, ...]; zero where these are given."""
    return _slope(network, lambda outputs: -cosine_similarity(outputs.flatten(1), unchanged.flatten(1), dim=1).sum())


def outputs_of(network: nn.Module, inputs: Tensor) -> Tensor:
    """What ``network`` gives for ``inputs`` [n, ...], without a graph."""
    with torch.no_grad():
        found: Tensor = network(inputs)
    return found


def similarity(network: nn.Module, natural: Tensor, changed: Tensor) -> float:
    """Mean cosine similarity of what ``network`` gives for the first inputs, a chunk of them, and for these changed."""
    device = device_of(network)
    one, other = (outputs_of(network, inputs[:CHUNK].to(device)).flatten(1) for inputs in (natural, changed))
    return cosine_similarity(one, other, dim=1).mean().item()


def sign_steps(natural: Tensor, start: Tensor, slope: Slope, budget: Budget, iterations: int, step: float) -> Tensor:
    """Projected sign steps from ``start``: each goes ``step`` budgets along the sign of the slope, then is clipped."""
    length, changed = step * budget.over(natural), budget.clip(start, natural)
    for _ in range(iterations):
        changed = budget.clip(changed + length * slope(changed).sign(), natural)
    return changed


def anywhere(natural: Tensor, budget: Budget, share: float = 1.0) -> Tensor:
    """``natural`` with uniform noise of ``share`` of the budget, clipped."""
    return budget.clip(natural + budget.over(natural) * drawn(natural, -share, share), natural)


def drawn(like: Tensor, low: float, high: float) -> Tensor:
    """Uniform numbers in the shape of ``like``, from the CPU's default generator wherever ``like`` is."""
    return torch.empty(like.shape, dtype=like.dtype).uniform_(low, high).to(like.device)


def device_of(network: nn.Module) -> torch.device:
    """Where ``network`` computes."""
    return next((weight.device for weight in network.parameters()), torch.device("cpu"))


def renewed(network: M) -> M:
    """``network`` with new random weights in every layer that draws any, from the default generator; in place."""
    for module in network.modules():
        if callable(reset := getattr(module, "reset_parameters", None)):
            reset()
    return network


def probe(layers: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs of ``layers`` for ``inputs`` [n, ...], and the gradients at the inputs of one random projection of them.

    The projection's directions are the same for everybody who asks: layers can be compared without being shown.
    """
    inputs = inputs.detach().requires_grad_()
    with exactly(inputs.device):
        outputs: Tensor = layers(inputs)
    draw = torch.Generator().manual_seed(0)
    directions = torch.randint(2, outputs.shape[1:], generator=draw).mul_(2).sub_(1).to(outputs)
    (slopes,) = torch.autograd.grad((outputs * directions).sum(), inputs)
    return outputs.detach(), slopes


def dct2(images: Tensor) -> Tensor:
    """The orthonormal two-dimensional cosine transform (type 2) of [..., height, width]."""
    with exactly(images.device):
        return _cosines(images.shape[-2], images) @ images @ _cosines(images.shape[-1], images).T


def idct2(spectra: Tensor) -> Tensor:
    """The images [..., height, width] that ``dct2`` made ``spectra`` of."""
    with exactly(spectra.device):
        return _cosines(spectra.shape[-2], spectra).T @ spectra @ _cosines(spectra.shape[-1], spectra)


def _slope(network: nn.Module, loss: Callable[[Tensor], Tensor]) -> Slope:
    def slope(inputs: Tensor) -> Tensor:
        inputs = inputs.detach().requires_grad_()
        with torch.enable_grad():
            (found,) = torch.autograd.grad(loss(network(inputs)), inputs)
        return found

    return slope


def _cosines(size: int, like: Tensor) -> Tensor:
    places = torch.arange(size, dtype=torch.float64)
    rows = torch.cos(math.pi / size * places[:, None] * (places + 0.5)) * math.sqrt(2 / size)
    rows[0] /= math.sqrt(2)
    return rows.to(like)
