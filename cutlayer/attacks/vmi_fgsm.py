"""VMI-FGSM: sign steps with momentum, along a gradient tuned by its variance in the neighborhood; Fan et al.'s VR.

Wang and He: Enhancing the Transferability of Adversarial Attacks through Variance Tuning (CVPR 2021), algorithm 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cutlayer.budget import Budget
from cutlayer.methods.perturbation import drawn, label_slope
from cutlayer.methods.proxy import ProxyAttack


@dataclass
class VMIFGSM(ProxyAttack):
    """The gradient, plus the variance found around the last place, over its mean absolute value, joins the momentum.

    Where the budget differs by channel, as one in normalized units does, gradients are taken with respect to values in
    units of the budget. The label is the proxy's own prediction for the natural input, unless
    ``labels`` says that it is the true one.
    """

    paper: ClassVar[str] = (
        "Wang and He: Enhancing the Transferability of Adversarial Attacks through Variance Tuning (CVPR 2021)"
    )

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **ProxyAttack.presets,
        "quick": {"epochs": 6, "neighbors": 5},
        "rehearsal": {"epochs": 1, "least_steps": 0, "iterations": 2, "neighbors": 3},
    }

    iterations: int = 10
    """Steps, each of the budget divided by their number."""
    momentum: float = 1.0
    """The share of the earlier momentum that is kept (mu)."""
    neighbors: int = 20
    """Places around the present one at which the gradient is taken for the variance (N)."""
    beta: float = 1.5
    """How far away they are at most, in budgets."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("iterations", "neighbors"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: it is at least 1")
        for name in ("momentum", "beta"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)}: it is at least 0")

    def perturb(self, proxy: nn.Module, natural: Tensor, labels: Tensor, budget: Budget) -> Tensor:
        """All steps, from the natural inputs."""
        slope, reach = label_slope(proxy, labels), budget.over(natural)
        unit = reach / reach.max().clamp(min=torch.finfo(reach.dtype).tiny)
        changed, momentum, variance = natural, torch.zeros_like(natural), torch.zeros_like(natural)
        for _ in range(self.iterations):
            here = unit * slope(changed)
            tuned = here + variance
            size = tuned.abs().flatten(1).mean(1).view(-1, *(1,) * (natural.ndim - 1))
            # A network without a slope at an input leaves it as it is.
            momentum = self.momentum * momentum + tuned / size.clamp(min=torch.finfo(size.dtype).tiny)
            around = torch.zeros_like(natural)
            for _ in range(self.neighbors):
                away = reach * drawn(natural, -self.beta, self.beta)
                around += unit * slope(changed + away)
            variance = around / self.neighbors - here
            changed = budget.clip(changed + reach / self.iterations * momentum.sign(), natural)
        return changed

    def _slopes(self) -> int:
        return self.iterations * (self.neighbors + 1)
